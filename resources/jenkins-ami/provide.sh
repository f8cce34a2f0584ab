#!/bin/sh
# Provides `jenkins-ami` on an agent, for the step withJenkinsAmi: the one that is there, or one in a virtual environment
# of its own, which is made once and kept.
#
# What is wanted is in $JENKINS_AMI_WANTED, a line NAME=VALUE for each of command, version, from, ref, python, extras,
# cache (the step's parameters), libraryVersion and libraryRef (their defaults). In a value, %24 is a dollar, %0A a new
# line, %25 a percent sign: Jenkins replaces $NAME in what it puts into an environment.
#
# Prints one line on stdout: the absolute path of the command, or "error: " and why there is none. The exit code is 0
# with both, as the step gets either the output or the exit code. All else goes to stderr.
#
#   CACHE/KEY/           an environment; KEY is version, commit or digest, and a hash of all that makes a difference
#   CACHE/KEY/complete   is written last, and touched at each use
#   CACHE/KEY/command/   leads to the command, and to nothing else of the environment: this goes on the PATH
#   CACHE/KEY.lock       held while the environment is made, taken or removed
#   CACHE/refs/          the commit that each branch had when it was last taken, for when the network is gone
set -eu
exec 3>&1 1>&2
export LC_ALL=C
# Git asks nobody, and does not wait for ever.
export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1 GIT_HTTP_LOW_SPEED_TIME=60
export GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh -o BatchMode=yes -o ConnectTimeout=60}"
unused_days=30
new_line='
'

say() {
  printf 'jenkins-ami: %s\n' "$*"
}

# Text for a log: one line, no password out of a URL.
tidy() {
  tr '\n\r' '  ' | sed 's#://[^/@ ]*@#://#g; s/ *$//'
}

fail() {
  printf 'error: %s\n' "$*" | tidy >&3
  exit 0
}

answer() {
  case $1 in
    /*) printf '%s\n' "$1" >&3 ;;
    *) printf '%s/%s\n' "$PWD" "$1" >&3 ;;
  esac
  exit 0
}

wanted() {
  printf '%s\n' "$JENKINS_AMI_WANTED" | sed -n "s/^$1=//p" | sed 's/%0A/\n/g; s/%24/$/g; s/%25/%/g'
}

hash() {
  printf '%s\n' "$@" | sha256sum | cut -c1-16
}

# Why a program failed: the first line in which Git says so, or the last in which pip does, or the last.
reason() {
  { grep -m 1 '^fatal: ' "$1" || { grep -i '^ *error: ' "$1" || grep . "$1" || echo unknown; } | tail -n 1; } |
    sed 's/^ *[A-Za-z]*: //'
}

command=$(wanted command)
version=$(wanted version)
from=$(wanted from)
ref=$(wanted ref)
python=$(wanted python)
extras=$(wanted extras)
cache=$(wanted cache)

# What is asked for makes sense.

if [ -n "$command" ] && [ -n "$version$from$ref" ]; then
  fail "'command' is taken as it is: 'version', 'from' and 'ref' say nothing beside it"
fi
case $from in
  '') kind=index ;;
  *://* | *@*:*) kind=git ;;
  *) kind=folder ;;
esac
if [ -n "$from" ] && [ -n "$version" ]; then
  fail "'version' is one of the package index; what to take of a repository says 'ref'"
fi
if [ -n "$ref" ] && [ "$kind" != git ]; then
  fail "'ref' says what of a Git repository to take, and 'from' is not the URL of one"
fi
version=${version:-$(wanted libraryVersion)}
case $version in
  *[!A-Za-z0-9.+!_-]*) fail "'version' must be a version like 1.2.0, not '$version'" ;;
esac
case $extras in
  *[!A-Za-z0-9._,-]*) fail "'extras' must be names like local, not '$extras'" ;;
esac

# It may be there already.

if [ -n "$command" ]; then
  path=$(command -v -- "$command") || path=
  case $path in
    */*) [ ! -d "$path" ] && [ -x "$path" ] && answer "$path" ;;
  esac
  fail "there is no command '$command' on this agent"
fi
there=$(jenkins-ami --version 2>/dev/null </dev/null) || there=
if [ "$kind" = index ] && [ "$there" = "jenkins-ami $version" ]; then
  answer "$(command -v jenkins-ami)"
fi
there="on the PATH there is ${there:-none}"

# Which environment it is to be.

command -v -- "$python" >/dev/null || fail "there is no '$python' on this agent to make it with; $there"
interpreter=$("$python" -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2])') ||
  fail "'$python' is no Python to make it with; $there"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "'$python' is Python ${interpreter##* }, and 3.11 or newer is needed; name another with 'python'"
command -v flock >/dev/null || fail "there is no 'flock' on this agent; it is in util-linux"

work=$(mktemp -d)
made=
trap 'rm -rf "$work"; [ -z "$made" ] || rm -rf "$made"' EXIT
trap 'exit 143' INT TERM HUP

cache=${cache:-${XDG_CACHE_HOME:-${HOME:-$PWD}/.cache}/jenkins-ami/cli}
case $cache in # pip writes the path of an environment into scripts, as it is
  *[\"\\\$\`]* | *"$new_line"*) fail "'cache' must be a path without \", \\, \$ and \`, not '$cache'" ;;
esac
mkdir -p -- "$cache" 2>"$work/log" || fail "the folder '$cache' cannot be made: $(reason "$work/log")"
cache=$(cd -- "$cache" && pwd)

# The commit that the branch or tag $ref has; without a network, the one that it had when there last was one.
resolve() {
  ref=${ref:-$(wanted libraryRef)}
  [ -n "$ref" ] || fail "'ref' is missing: a branch, a tag or a commit of $from"
  remembered=$cache/refs/$(hash "$from" "$ref")
  case $ref in
    *[!0-9a-f]*) ;;
    *)
      if [ ${#ref} -eq 40 ]; then
        commit=$ref
        return
      fi
      ;;
  esac
  if git ls-remote -- "$from" "refs/heads/$ref" "refs/tags/$ref" "refs/tags/$ref^{}" "$ref" >"$work/refs" 2>"$work/log"; then
    commit=$(REF=$ref awk '
      BEGIN { ref = ENVIRON["REF"] }
      $2 == ("refs/heads/" ref) { branch = $1 }
      $2 == ("refs/tags/" ref) && !tag { tag = $1 }
      $2 == ("refs/tags/" ref "^{}") { tag = $1 }
      $2 == ref { full = $1 }
      END { print branch ? branch : tag ? tag : full }' "$work/refs")
    [ -n "$commit" ] || fail "there is no branch or tag '$ref' in $from"
  elif [ -f "$remembered" ]; then
    commit=$(cat "$remembered")
    say "warning: taking $ref as it was at commit $commit, since $from does not answer: $(reason "$work/log")" | tidy
    echo
  else
    fail "'$ref' of $from is not here yet, and cannot be got: $(reason "$work/log"); $there"
  fi
}

# All files of a folder, as one whose digest depends on names, contents and nothing else.
pack() {
  cd -- "$from" 2>/dev/null || fail "there is no folder '$from' in $PWD"
  { git ls-files -z -co --exclude-standard 2>/dev/null || find . -name .git -prune -o ! -type d -print0; } |
    sort -zu |
    tar -c --no-recursion --mtime=@0 --owner=0 --group=0 --numeric-owner --mode='u+w,go=u,go-w' \
      -f "$work/source.tar" --null -T - 2>"$work/log" || fail "the folder '$from' cannot be read: $(head -n 1 "$work/log")"
  cd "$OLDPWD"
  digest=$(sha256sum <"$work/source.tar" | cut -c1-40)
}

case $kind in
  index) what=$version ;;
  git)
    command -v git >/dev/null || fail "there is no 'git' on this agent to take it from $from with"
    resolve
    what=$commit
    ;;
  folder)
    pack
    what=$digest
    ;;
esac
key=$(printf '%.20s' "$what")-$(hash "$what" "$interpreter" "$extras")
environment=$cache/$key

# Another build may be at it.

if [ ! -w "$cache" ]; then
  [ ! -f "$environment/complete" ] || answer "$environment/command/jenkins-ami"
  fail "jenkins-ami $what is not in '$cache', which cannot be written; $there"
fi
exec 9>"$environment.lock"
flock -n 9 || {
  say "waiting for another build that makes $environment"
  flock -w 1800 9 || fail "another build has been making '$environment' for half an hour"
}
taken() {
  touch "$environment/complete"
  if [ "$kind" = git ]; then
    mkdir -p "$cache/refs"
    printf '%s\n' "$commit" >"$work/commit"
    mv "$work/commit" "$remembered"
  fi
  answer "$environment/command/jenkins-ami"
}
[ ! -f "$environment/complete" ] || taken

# It is made.

checkout() {
  git init -q "$work/source"
  cd "$work/source"
  set -- '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
  case $ref in
    refs/*) set -- "$@" "$ref" ;;
  esac
  # Not every server gives out a commit by its id.
  git fetch -q --depth 1 -- "$from" "$commit" 2>/dev/null || git fetch -q -- "$from" "$@" 2>"$work/log" ||
    fail "commit $commit of $from cannot be got: $(reason "$work/log"); $there"
  git checkout -q --detach "$commit" 2>"$work/log" || fail "there is no commit $commit in $from"
}

say "making $environment"
rm -rf "$environment"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "'$python' has no module venv to make an environment with; Debian has it in the package python3-venv"
case $kind in
  git) checkout ;;
  folder)
    mkdir "$work/source"
    cd "$work/source"
    tar -xf ../source.tar
    ;;
esac
made=$environment
"$python" -m venv "$environment" >"$work/log" 2>&1 || {
  cat "$work/log"
  fail "no environment can be made with '$python': $(reason "$work/log")"
}
case $kind in
  index) set -- "jenkins-ami${extras:+[$extras]}==$version" ;;
  *) set -- ".${extras:+[$extras]}" ;;
esac
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >"$work/log" 2>&1 || {
  cat "$work/log"
  fail "jenkins-ami $what cannot be installed: $(reason "$work/log"); $there"
}
mkdir "$environment/command"
ln -s ../bin/jenkins-ami "$environment/command/jenkins-ami"
[ -x "$environment/command/jenkins-ami" ] || fail "what was installed has no command jenkins-ami"
: >"$environment/complete"
made=

# Environments that nobody has taken for long go.

for lock in "$cache"/*.lock; do
  (
    flock -n 8 || exit 0
    old=${lock%.lock}
    if [ -d "$old" ] && [ -z "$(find "$old" "$old/complete" -prune -mtime "-$unused_days" 2>/dev/null)" ]; then
      say "removing $old, which nobody has taken for $unused_days days"
      rm -rf "$old"
    fi
  ) 8>"$lock" || say "warning: $lock cannot be looked at"
done
taken
