#!/bin/sh
# Runs on the instance after the overlay is in place; a failure here ends the build.
set -eu
lighttpd -tt -f /etc/web-server/lighttpd.conf
{
  lighttpd -v | head -n 1
  uname -r
} >/etc/web-server/built
