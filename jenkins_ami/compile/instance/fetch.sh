#!/bin/sh
# Usage: fetch.sh presigned|profile|https SIZE. Downloads SIZE bytes from the URL in fs.url into fs.tgz, both beside this
# script. The URL may be a secret: it is on no command line and in no log, and from here on in no file.
set +x
umask 077
export LC_ALL=C
cd "${0%/*}" || exit 1
access=$1
size=$2
url=$(cat fs.url) || exit 1
rm -f fs.url

say() { printf '%s\n' "$1" | tr -c '[:print:]\n' ' ' | sed 's/?[^ "]*/?.../g' >&2; }
fail() {
  rm -f fs.tgz
  say "the overlay could not be downloaded: $1"
  exit 1
}

# The Python 3 that cloud-init runs under, where there is no other.
for python in python3 "$(sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$(command -v cloud-init)" 2>/dev/null)" ''; do
  [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null && break
done
[ -n "$python" ] || [ "$access" != profile ] || fail 'there is no Python 3 to sign the request with'

# The object on standard output, and on 3 what there is to say about it: a line "HTTP/1.1 STATUS", complaints.
get() {
  if command -v curl >/dev/null; then
    printf 'url = "%s"\n' "$1" |
      curl -sSL -D /dev/fd/3 --connect-timeout 20 --speed-limit 1024 --speed-time 60 -K - 2>&3
  elif [ -n "$python" ]; then
    printf '%s\n' "$1" | "$python" -c '
import shutil, sys, urllib.error, urllib.request
try: answer = urllib.request.urlopen(sys.stdin.readline().strip(), timeout=60)
except urllib.error.HTTPError as error: answer = error
print("HTTP/1.1", answer.code, file=sys.stderr)
shutil.copyfileobj(answer, sys.stdout.buffer)
sys.exit("the connection was closed early" if answer.length else 0)' 2>&3
  else
    printf '%s\n' "$1" | wget -nv -S --content-on-error --no-http-keep-alive -T 60 -t 1 -i - -O - 2>&3
  fi
}

attempt() {
  if [ "$access" = profile ]; then
    signed=$(printf '%s\n' "$url" | "$python" sign.py 2>&3) && get "$signed"
  else
    get "$url"
  fi
}

for pause in 1 2 4 8 15 30 ''; do
  # One byte more than is wanted is enough to know that there is too much.
  said=$({ { attempt; echo "ended $?" >&3; } | head -c "$((size + 1))" >fs.tgz; } 3>&1)
  got=$(wc -c <fs.tgz)
  ended=${said##*ended }
  status=$(printf '%s\n' "$said" | sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' | tail -n 1)
  why=$(printf '%s\n' "$said" | tr -d '\r' | sed -e '/^ended /d' -e '/^ *$/d' -e '/^curl: /q' | tail -n 1)
  xml='s/.*<Code>\(.*\)<\/Code>.*<Message>\([^<]*\)<.*/, \1: \2/p' # S3 says why
  [ "${status:-200}" = 200 ] || why="HTTP $status$(head -c 4096 fs.tgz | tr '\n' ' ' | sed -n "$xml")"
  case $status in
    200)
      [ "$got" -ne "$size" ] || exit 0
      [ "$got" -lt "$size" ] || fail "there are more than $size bytes in its place"
      [ "$ended" != 0 ] || fail "there are $got bytes in its place instead of $size"
      why="it broke off after $got of $size bytes"
      ;;
    408 | 425 | 429 | 5?? | '') ;;
    3??) [ "$ended" != 0 ] || fail "$why" ;; # else: redirected to who does not answer
    *) fail "$why" ;;
  esac
  [ -n "$pause" ] || fail "$why (7 attempts)"
  say "the overlay: $why; once more in $pause s"
  sleep "$pause"
done
