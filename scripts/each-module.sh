#!/usr/bin/env bash
# Runs a command in every module of the workspace; fails at the end when one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

failed=()
while IFS= read -r dir; do
  (cd "$dir" && "$@") || failed+=("${dir#"$PWD"/}")
done < <(go list -m -f '{{.Dir}}')

if ((${#failed[@]})); then
  echo "failed in: ${failed[*]}" >&2
  exit 1
fi
