#!/bin/sh
# Usage: tools/groovy-lint.sh [install | FILE...]. Checks Groovy sources (default: all of this repository) with
# npm-groovy-lint by the rules in .groovylintrc.json, and fails on whatever they find. It is got when it is not there;
# 'install' does no more than that, and prints its folder. A FILE is seen from the top of the repository.
#
# 14.6 is the last that runs on the Node 18 of Debian 12; it bundles CodeNarc. It lies outside of the checkout, by the
# digest of what it consists of. Java is named to it, as it would download one if it found none. No server of its is
# started or left running, no statistics are sent, and nothing is asked of the network.
set -eu
cd "$(dirname "$0")/.."
cache=${JENKINS_AMI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jenkins-ami}
digest=$(cat tools/groovy-lint/package.json tools/groovy-lint/package-lock.json | sha256sum | cut -c1-16)
folder=$cache/groovy-lint-$digest

command -v node >/dev/null || { echo "error: there is no node. Run: make setup" >&2; exit 1; }
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || {
  echo "error: $(command -v node) is $(node --version), which is older than 18. Install a newer Node.js" >&2
  exit 1
}
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
if [ ! -d "$folder" ]; then
  command -v npm >/dev/null || { echo "error: there is no npm. Run: make setup" >&2; exit 1; }
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.groovy-lint.XXXXXX")
  echo "== npm-groovy-lint into $folder" >&2
  cp tools/groovy-lint/package.json tools/groovy-lint/package-lock.json "$work"
  (cd "$work" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier --cache "$work/.npm" \
    --loglevel=error </dev/null >&2)
  rm -rf "$work/.npm"
  chmod 755 "$work"
  mv -T "$work" "$folder" 2>/dev/null || [ -d "$folder" ] # another was faster
  rm -rf "$work"
fi
if [ "${1:-}" = install ]; then
  echo "$folder"
  exit 0
fi

java=$(command -v java) || { echo "error: there is no java. Run: make setup" >&2; exit 1; }
if [ $# = 0 ]; then
  # shellcheck disable=SC2046 # no name among them has a space
  set -- Jenkinsfile jobs/seed/Jenkinsfile vars/*.groovy $(find tests/groovy -name '*.groovy' | LC_ALL=C sort)
fi
work=$(mktemp -d)
[ -t 1 ] || export FORCE_COLOR=0
TMPDIR=$work node "$folder/node_modules/npm-groovy-lint/lib/index.js" --noserver --javaexecutable "$java" \
  --javaoptions=-XX:TieredStopAtLevel=1,-Xshare:auto --loglevel info --failon info "$@"
