#!/bin/sh
# Runs on the instance after the overlay is in place; a failure here ends the build.
set -eu
nginx -t
test -s /srv/www/index.html
