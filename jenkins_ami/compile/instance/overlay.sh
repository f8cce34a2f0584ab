#!/bin/sh
# Usage: overlay.sh SIZE SHA256 gzip|zstd [USER:GROUP...]. Verifies fs.tgz before a single file is unpacked over /.
die() {
  echo "the overlay $*" >&2
  exit 1
}
cd /var/lib/jenkins-ami || exit 1
size=$(wc -c <fs.tgz) || exit 1
[ "$size" -eq "$1" ] || die "was damaged on its way: it has $size bytes instead of $1"
sum=$(sha256sum <fs.tgz) || exit 1
sum=${sum%% *}
[ "$sum" = "$2" ] || die "was damaged on its way: its sha256 is $sum instead of $2"
unpack=-z
if [ "$3" = zstd ]; then
  command -v zstd >/dev/null || die "is packed with zstd, which this machine lacks"
  unpack=-Izstd
fi
shift 3
# tar gives to root what belongs to a name that it does not find.
for owner; do
  getent passwd "${owner%:*}" >/dev/null || [ "${owner%:*}" -ge 0 ] 2>/dev/null || die "belongs to $owner: no such user"
  getent group "${owner#*:}" >/dev/null || [ "${owner#*:}" -ge 0 ] 2>/dev/null || die "belongs to $owner: no such group"
done
# Folders that are there keep their modes, and links like /lib -> usr/lib stay links. Files get the time of the build.
keep=--keep-directory-symlink
# A tar before 1.27 does not know this, and replaces such a link by a folder.
tar $keep --version >/dev/null 2>&1 || keep=
[ "$keep" ] || tar $unpack -tf fs.tgz | while read -r name; do
  [ ! -L "/${name%/}" ] || [ "$name" = "${name%/}" ] || die "would replace the link /${name%/}: tar is too old"
done || exit 1
tar $unpack -xpmf fs.tgz -C / --no-overwrite-dir $keep || exit 1
rm -f fs.tgz
[ ! -d /run/systemd/system ] || systemctl daemon-reload
