#!/bin/sh
# Usage: overlay.sh SIZE SHA256. Verifies fs.tgz before a single file is unpacked over /.
cd /var/lib/jenkins-ami || exit 1
size=$(wc -c <fs.tgz) || exit 1
if [ "$size" -ne "$1" ]; then
  echo "the overlay was damaged on its way: it has $size bytes instead of $1" >&2
  exit 1
fi
if ! printf '%s  fs.tgz\n' "$2" | sha256sum -c --status; then
  echo "the overlay was damaged on its way: its sha256 is $(sha256sum fs.tgz | cut -d' ' -f1) instead of $2" >&2
  exit 1
fi
# Folders that are there keep their modes, and links like /lib -> usr/lib stay links. Files get the time of the build.
tar -xzpmf fs.tgz -C / --numeric-owner --no-overwrite-dir --keep-directory-symlink || exit 1
rm -f fs.tgz
[ ! -d /run/systemd/system ] || systemctl daemon-reload
