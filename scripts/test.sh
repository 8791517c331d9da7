#!/usr/bin/env bash
# Runs the tests of every module with the race detector, then prints the coverage
# of every package and fails when one is below its floor (scripts/coverage.floors).
# With arguments: only those packages (./shared/db/...), no floors.
# It needs a test database: `make test` provides one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

if (($#)); then
  exec go test -race -count=1 "$@"
fi

profiles=$(mktemp -d)
trap 'rm -rf "$profiles"' EXIT

failed=()
while IFS= read -r dir; do
  name=${dir#"$PWD"/}
  packages=$(cd "$dir" && go list ./... 2>/dev/null)
  if [ -z "$packages" ]; then
    echo "== $name has no packages yet"
    continue
  fi
  echo "== $name"
  # A package's statements count as covered whichever package's test reached them.
  # The packages of tests each start the whole platform: one after another.
  beside=()
  [ "$name" != tests ] || beside=(-p 1)
  (cd "$dir" && go test "${beside[@]}" -race -count=1 -timeout 20m -covermode=atomic -coverpkg=./... \
    -coverprofile="$profiles/${name//\//-}.out" ./...) |
    grep -vE -e '\[no test files\]$' -e $'^\t[^\t ]+\t+coverage: 0\\.0% of statements' |
    sed -E 's/[[:space:]]+coverage: [0-9.]+% of statements.*//'
  ((PIPESTATUS[0] == 0)) || failed+=("$name")
done < <(go list -m -f '{{.Dir}}')

echo "== coverage"
go run ./scripts/cmd/coverage -floors scripts/coverage.floors "$profiles"/*.out || failed+=("coverage")

if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "all tests passed"
