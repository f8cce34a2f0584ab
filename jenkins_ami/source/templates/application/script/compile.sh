#!/bin/sh
# Runs on the build host, in a copy of the source, with a clean environment. Messages go to stderr; stdout is
# KEY=VALUE lines for the CI.
set -eu
echo "building $AMI_NAME $AMI_VERSION" >&2
mkdir -p fs/opt/application
install -m 0755 app/application fs/opt/application/application
echo "APPLICATION_SHA256=$(sha256sum app/application | cut -d' ' -f1)"
