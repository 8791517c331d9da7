#!/usr/bin/env bash
# Tests what changed, with a database of its own and the race detector.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

patterns=(all)
if [ -f "$STATE/tests" ]; then mapfile -t patterns <"$STATE/tests"; fi
((${#patterns[@]})) || { echo "nothing that tests run has changed"; exit 0; }
if [ "${patterns[0]}" = all ]; then
  run make test
else
  run make test PKG="${patterns[*]}"
fi
