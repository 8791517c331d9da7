#!/usr/bin/env bash
# Runs every fuzz target of the workspace for FUZZTIME (default 30s) each. A
# crash is written to the package's testdata/fuzz/ and fails the run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

ran=0
failed=()
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  echo "== $target in $dir"
  (cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" .) || failed+=("$dir:$target")
  ran=$((ran + 1))
done < <(find . -name '*_test.go' -not -path './.local/*' -not -path './dist/*' -print0 | sort -z |
  xargs -0 grep -HoE '^func Fuzz[A-Za-z0-9_]*\(' | sed -E 's/func (Fuzz[A-Za-z0-9_]*)\(/\1/')

if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "$ran fuzz targets passed"
