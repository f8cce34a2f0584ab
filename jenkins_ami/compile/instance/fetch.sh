#!/bin/sh
# Downloads fs.tgz from the URL in fs.url, which is on no command line and in no log, and is removed afterwards.
cd /var/lib/jenkins-ami || exit 1
get() {
  if command -v curl >/dev/null; then
    printf 'url = "%s"\n' "$(cat fs.url)" | curl -fsS --connect-timeout 20 --max-time 300 -o fs.tgz -K - 2>fetch.err
  elif command -v wget >/dev/null; then
    wget -q -T 60 -t 1 -i fs.url -O fs.tgz 2>fetch.err
  else
    python3 -c 'import urllib.request as u; u.urlretrieve(open("fs.url").read().strip(), "fs.tgz")' 2>fetch.err
  fi
}
for pause in 1 2 4 8 15 30 0; do
  if get; then
    rm -f fs.url fetch.err
    exit 0
  fi
  sleep "$pause"
done
echo "the overlay could not be downloaded:" >&2
tail -n 1 fetch.err | sed 's/?[^ ]*/?.../g' >&2
rm -f fs.url fetch.err
exit 1
