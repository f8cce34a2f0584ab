#!/bin/sh
# Usage: tools/gerrit.sh. Gets a Gerrit to test against, and prints the folder with its jars. Does nothing when it is
# there already.
#
# Gerrit's own server, of the artefacts that it publishes for the tests of plugins: gerrit-plugin-api holds the server,
# gerrit-acceptance-framework the programs 'init' and 'daemon' and the web server. 3.10 is the last that runs on the
# Java 17 of Debian 12. Ivy, which Debian's groovy needs anyway, downloads them from where it does by default.
set -eu
version=3.10.2
cache=${JENKINS_AMI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jenkins-ami}
folder=$cache/gerrit-$version

if [ ! -d "$folder" ]; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.gerrit.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  echo "== gerrit $version into $folder" >&2
  for name in gerrit-acceptance-framework gerrit-plugin-api; do
    java -jar /usr/share/java/ivy.jar -cache "$work/ivy" -dependency com.google.gerrit "$name" "$version" -types jar \
      -confs default -retrieve "$work/new/[artifact].[ext]" </dev/null >"$work/log" 2>&1 || {
      cat "$work/log" >&2
      exit 1
    }
  done
  (cd "$work/new" && sha256sum --quiet -c) <<EOF
29fd6bf05585ba57490d13e28fd4c5f9f859d3b55f5e1217ca437aa4f8f84c13  gerrit-acceptance-framework.jar
3ee733da1bd1379c61005cde3ac4bced480ab211dc51f62ad7821a7f35b15c43  gerrit-plugin-api.jar
EOF
  mv -T "$work/new" "$folder" 2>/dev/null || [ -d "$folder" ] # another was faster
fi
echo "$folder"
