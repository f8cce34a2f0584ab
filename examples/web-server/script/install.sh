#!/bin/sh
# Runs on the instance after the overlay is in place; a failure here ends the build.
set -eu
test -s /usr/local/share/web-server/www/index.html
dpkg-query -W civetweb >/etc/web-server/built
