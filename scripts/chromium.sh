#!/usr/bin/env bash
# Prints the path of Chromium, installed if it is not there. CHROMIUM names
# another browser of that family.
set -euo pipefail

find_it() {
  local name
  for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    command -v "$name" && return
  done
  return 1
}

find_it && exit
as=()
[ "$(id -u)" = 0 ] || as=(sudo -n)
install=("${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install chromium)
if command -v apt-get >/dev/null; then
  echo "installing Chromium" >&2
  { "${install[@]}" || { "${as[@]}" apt-get -q update && "${install[@]}"; }; } >&2
fi
find_it || {
  echo "the documentation's page is checked in Chromium: install it with the system's package manager, or say where it is with CHROMIUM (make doctor)" >&2
  exit 1
}
