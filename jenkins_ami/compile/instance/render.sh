#!/bin/sh
# Usage: render.sh TEMPLATE SCRIPT. Renders a script's template with this instance's data, as cloud-init would.
umask 077
cloud-init devel render "$1" >"$2" || exit 1
if grep -q CI_MISSING_JINJA_VAR "$2"; then
  echo "the template names a variable that this instance does not have:" >&2
  grep -o 'CI_MISSING_JINJA_VAR/[^[:space:]]*' "$2" >&2
  exit 1
fi
chmod 0700 "$2"
