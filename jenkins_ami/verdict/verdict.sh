#!/bin/sh
# Usage: verdict.sh NONCE [--lenient | PART...]. cloud-init's power_state.condition: runs when cloud-init's last stage
# has exited. Exit 0 powers the instance off: only when every step succeeded. Everything else leaves it to the builder.
# What cloud-init's modules and part handlers report counts as well, save from the parts named; --lenient only shows it.
nonce=$1
shift
here=/var/lib/jenkins-ami
say() { printf '\n%s\n' "$1" >/dev/console; }
verdict() { say "$(printf '%s-%s:%s:%s' JENKINS-AMI VERDICT "$1" "$nonce")"; }
dmesg -D 2>/dev/null # the kernel's lines must not fall into ours

# cloud-init goes on when a part cannot be used, and says so only in its log.
dropped='Boothooks (script|unknown)|Failed (at registering python file|calling handler|at merging in cloud config|loading yaml)|Unhandled (unknown content-type|non-multipart)|Ignoring jinja template|Could not render jinja'

complaints() {
  grep -hE "WARNING\]: ($dropped)" /var/log/cloud-init.log 2>/dev/null | sed -e 's/^.*WARNING\]: /cloud-init: /'
  tr -d ' \n' </run/cloud-init/result.json | grep -qF '"errors":[]' || sed -n '/"errors"/,/]/p' /run/cloud-init/result.json |
    sed -e '/"errors"/d' -e '/^ *]/d' -e 's/^ *"/cloud-init: /' -e 's/",\{0,1\}$//'
}

reasons() {
  [ ! -s "$here/failed" ] || cat "$here/failed"
  [ -s /run/cloud-init/result.json ] || echo "cloud-init left no result.json"
  [ -e "$here/complete" ] || [ -s "$here/failed" ] || echo "runcmd ended before its last command"
  if [ "$1" = --lenient ]; then
    complaints | sed 's/^/allowed: /' | lines LOG
  elif [ $# -gt 0 ]; then
    printf '%s\n' "$@" >"$here/allowed"
    complaints | grep -vF -f "$here/allowed"
  else
    complaints
  fi
}

# Lines for the console, after a word and without what may be secret in a URL: its query.
lines() { sed -e 's/\(https\{0,1\}:\/\/[^ ?"]*?\)[^ "]*/\1***/g' -e "s/^/$(printf '%s-%s' JENKINS-AMI "$1")| /" >/dev/console; }

fail() {
  say ""
  printf '%s\n' "$1" | lines REASON
  tail -n 60 /var/log/cloud-init-output.log | cut -c 1-240 | lines LOG
  verdict FAIL
  exit 1
}

# What belongs to this instance must not be in the image: identity, keys, user-data, logs, histories. cloud-init's
# per-boot scripts stay (an overlay may bring some), and so does a seed.
clean() {
  set -e
  rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem /var/lib/cloud/handlers
  rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /var/lib/systemd/random-seed
  rm -f /root/.bash_history /home/*/.bash_history
  [ ! -e /etc/machine-id ] || : >/etc/machine-id
  [ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
  if command -v apt-get >/dev/null; then apt-get clean; rm -rf /var/lib/apt/lists/*; fi
  rm -f /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease*
  rm -rf /var/log/journal/* /tmp/* /var/tmp/*
  find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' \) -exec rm -f {} +
  find /var/log -type f -exec truncate -s 0 {} +
  rm -rf "$here"
  sync
}

why=$(reasons "$@")
[ -z "$why" ] || fail "$why"
problem=$( (clean) 2>&1) || fail "cleaning the image failed: $problem"
verdict OK
sleep 1 # let the serial line drain
exit 0
