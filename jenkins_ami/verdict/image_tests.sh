#!/bin/sh
# Usage: image_tests.sh NONCE COUNT. Runs N.sh for N below COUNT, prints a line for each and the verdict; exits 0, which
# powers the instance off (cloud-init's power_state.condition).
nonce=$1
count=$2
cd "$(dirname "$0")" || exit 1
here=$PWD
word=$(printf '%s-%s' JENKINS-AMI TEST)
dmesg -D 2>/dev/null
timeout 300 systemctl is-system-running --wait >/dev/null 2>&1

verdict=OK
index=0
while [ "$index" -lt "$count" ]; do
  read -r code limit <"$here/$index.want"
  begin=$(date +%s)
  (cd / && exec timeout "$limit" /bin/sh "$here/$index.sh") >"$here/$index.out" 2>"$here/$index.err" </dev/null
  status=$?
  took=$(($(date +%s) - begin))
  result=ok
  [ "$status" = "$code" ] || result=fail
  if [ -e "$here/$index.stdout" ]; then
    want=$(cat "$here/$index.stdout")
    got=$(tr -d '\000' <"$here/$index.out")
    case $got in *"$want"*) ;; *) result=fail ;; esac
  fi
  [ "$result" = ok ] || verdict=FAIL
  printf '\n%s:%s:%s:%s:%s:%s:%s\n' "$word" "$nonce" "$index" "$result" "$status" "$took" \
    "$(cat "$here/$index.out" "$here/$index.err" | tail -c 3000 | base64 | tr -d '\n')" >/dev/console
  index=$((index + 1))
done
printf '\n%s-%s:%s:%s\n' JENKINS-AMI VERDICT "$verdict" "$nonce" >/dev/console
sleep 1
exit 0
