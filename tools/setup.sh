#!/bin/sh
# Usage: tools/setup.sh [demo|test|bench]. Installs what is missing: system packages by apt-get, Python packages into .venv.
# Does nothing (and takes no time) when all is there already.
set -eu
cd "$(dirname "$0")/.."
what=${1:-demo}
lists=tools/packages.txt
extra=local
if [ "$what" != demo ]; then
  lists="$lists tools/packages-test.txt"
  extra=test
fi
[ "$what" != bench ] || lists="$lists tools/packages-bench.txt"

missing=
for package in $(sed 's/#.*//' $lists); do
  dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
# npm-groovy-lint runs on any Node.js from 18 on; Debian's is for who has none.
[ "$what" != test ] || command -v npm >/dev/null || missing="$missing nodejs npm"
if [ -n "$missing" ]; then
  echo "== apt-get install$missing"
  sudo=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "error: these packages need root: $missing" >&2; exit 1; }
    sudo=sudo
  fi
  $sudo apt-get -q=2 update </dev/null
  # shellcheck disable=SC2086 # a list of words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q=2 -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing </dev/null
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: $python is older than 3.11; name another: make $what PYTHON=python3.12" >&2
  exit 1
}
wanted="$extra $(sha256sum setup.cfg pyproject.toml | sha256sum)"
if ! { [ -x .venv/bin/jenkins-ami ] && grep -qxF "$wanted" .venv/installed 2>/dev/null; }; then
  echo "== pip install .[$extra] into .venv"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e ".[$extra]"
  echo "$wanted" >>.venv/installed
fi
if [ "$what" != demo ]; then
  tools/jars.sh gerrit >/dev/null
  tools/jars.sh groovy-cps >/dev/null
fi
[ "$what" != test ] || tools/groovy-lint.sh install >/dev/null
