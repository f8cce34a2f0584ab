#!/bin/sh
# Usage: tools/jars.sh gerrit|groovy-cps
# Gets the jars of a program that tests need, and prints the folder with them. Does nothing when they are there already.
# Ivy, which Debian's groovy needs anyway, downloads them from where it does by default.
#
# gerrit      Gerrit's own server, of the artefacts that it publishes for the tests of plugins: gerrit-plugin-api holds
#             the server, gerrit-acceptance-framework the programs 'init' and 'daemon' and the web server. 3.10 is the
#             last that runs on the Java 17 of Debian 12.
# groovy-cps  the engine that runs Pipelines in Jenkins, and its sandbox, in the newest versions that are published
#             outside of Jenkins' own repository; Guava is what the engine was built with.
set -eu
case ${1:-} in
  gerrit)
    version=3.10.2
    jars="com.google.gerrit:gerrit-acceptance-framework:$version com.google.gerrit:gerrit-plugin-api:$version"
    sums='29fd6bf05585ba57490d13e28fd4c5f9f859d3b55f5e1217ca437aa4f8f84c13  gerrit-acceptance-framework.jar
3ee733da1bd1379c61005cde3ac4bced480ab211dc51f62ad7821a7f35b15c43  gerrit-plugin-api.jar'
    ;;
  groovy-cps)
    version=1.31
    jars="com.cloudbees:groovy-cps:$version org.kohsuke:groovy-sandbox:1.19 com.google.guava:guava:11.0.1"
    sums='ecfd4e43d75ca8204e278ff01d27c10d4b0d7b3ee781a18d1c363fc04c5c3e7e  groovy-cps.jar
606b2fe4bab1fc40f5816d81c9daa31348df7de0e3ad97c3031a786f0fcd12da  groovy-sandbox.jar
aa7cef9d2ba0110a2db7be0fb6e679cd71f6a26fc3ba9da7715f41d3300def1d  guava.jar'
    ;;
  *)
    sed -n '2s/^# //p' "$0" >&2
    exit 2
    ;;
esac
cache=${JENKINS_AMI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jenkins-ami}
folder=$cache/$1-$version

if [ ! -d "$folder" ]; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.$1.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  echo "== $1 $version into $folder" >&2
  for jar in $jars; do
    name=${jar#*:}
    java -jar /usr/share/java/ivy.jar -cache "$work/ivy" -dependency "${jar%%:*}" "${name%:*}" "${jar##*:}" -types jar \
      -confs default -notransitive -retrieve "$work/new/[artifact].[ext]" </dev/null >"$work/log" 2>&1 || {
      cat "$work/log" >&2
      exit 1
    }
  done
  (cd "$work/new" && echo "$sums" | sha256sum --quiet -c)
  mv -T "$work/new" "$folder" 2>/dev/null || [ -d "$folder" ] # another was faster
fi
echo "$folder"
