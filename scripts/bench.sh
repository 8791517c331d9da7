#!/usr/bin/env bash
# make bench-go: runs the Go benchmarks of every module, without the tests. Compare figures of
# one run only: the machine does other things, too.
#
#   BENCH      which, as go test -bench takes it (. unless given)
#   BENCHTIME  how long each (1s unless given)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

failed=()
while IFS= read -r dir; do
  # Only packages that have benchmarks: building the others' tests says nothing.
  packages=$(cd "$dir" && git grep -lE '^func Benchmark' -- '*_test.go' ':!*testdata*' ':!citus/*' | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
  [ -z "$packages" ] && continue
  echo "== ${dir#"$PWD"/}"
  # shellcheck disable=SC2086 # one word per package
  (cd "$dir" && go test -run '^$' -bench "${BENCH:-.}" -benchtime "${BENCHTIME:-1s}" -benchmem $packages) || failed+=("${dir#"$PWD"/}")
done < <(go list -m -f '{{.Dir}}')

if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
