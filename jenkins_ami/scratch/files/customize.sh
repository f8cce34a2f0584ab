#!/bin/sh
# Runs outside the new root file system, whose path is $1, after the last package was installed. What it does is part
# of the cached package set.
set -eu
root=$1

# The kernel's hook was told to leave the initrd alone (INITRD=No), so that it is made once and not five times.
chroot "$root" update-initramfs -c -k all
for initrd in "$root"/boot/initrd.img-*; do
    ln -sf "boot/${initrd##*/}" "$root/initrd.img"
done

# Under SOURCE_DATE_EPOCH Python compiles modules so that each import reads and hashes the source again. Compile them as
# an installed Debian has them, by time stamp; the tar will not have times after the epoch, so neither may they.
find "$root"/usr/lib/python3* -name '*.py' -newermt "@$SOURCE_DATE_EPOCH" \
    -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
chroot "$root" sh -c 'python3 -m compileall -q -f --invalidation-mode timestamp /usr/lib/python3*'

# What belongs to one machine, to the host that ran this, or to the moment it ran.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
rm -f "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/var/lib/systemd/random-seed
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
rm -f "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old "$root"/var/cache/ldconfig/aux-cache
find "$root"/var/log -type f ! -name btmp ! -name wtmp ! -name lastlog ! -name faillog -delete
