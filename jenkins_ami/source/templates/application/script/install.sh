#!/bin/sh
# Runs on the instance after the overlay is in place; a failure here ends the build.
set -eu
python3 -c 'compile(open("/opt/application/application").read(), "application", "exec")'
systemctl enable application.service
