#!/usr/bin/env bash
# Runs every fuzz target of the workspace for FUZZTIME (default 30s) each. A
# crash is written to the package's testdata/fuzz/ and fails the run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go before 1.27 may report the end of -fuzztime itself as a failure
# (golang/go#75804): one line, and no input that failed. Nothing else passes.
only_the_deadline() {
  grep -qE '^    context deadline exceeded$' "$log" &&
    ! grep -qE 'Failing input|panic:|_test\.go:|fuzzing process' "$log" &&
    [ "$(grep -cE '^ {4}[^ ]' "$log")" = 1 ]
}

ran=0
failed=()
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  echo "== $target in $dir"
  # Inputs whose coverage differs from run to run are minimised for a minute
  # each by default: the time is better spent on other inputs.
  if ! (cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 10x .) 2>&1 | tee "$log"; then
    if only_the_deadline; then
      echo "$target: the time was up, and Go took that for a failure (golang/go#75804); no input failed"
    else
      failed+=("$dir:$target")
    fi
  fi
  ran=$((ran + 1))
done < <(find . -name '*_test.go' -not -path './.local/*' -not -path './dist/*' -print0 | sort -z |
  xargs -0 grep -HoE '^func Fuzz[A-Za-z0-9_]*\(' | sed -E 's/func (Fuzz[A-Za-z0-9_]*)\(/\1/')

if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "$ran fuzz targets passed"
