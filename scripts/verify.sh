#!/usr/bin/env bash
# What a test cannot see: generated files are current, every module builds on its
# own as the cloud builds it, every function's archive is reproducible, builds
# offline and answers, and the API's documents are well-formed, break nobody and
# work for those who use them.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

# The files that `make generate` writes from the operations; those from
# functions.json and deps.txt are compared by the commands that write them.
generated=(router/routes.json router/openapi.json docs/postman_collection.json docs/postman_environment.json)

operations() {
  local keep status=0 file
  keep=$(mktemp -d) || return 1
  # Compared with what lies in the tree, committed or not, and put back: verify
  # changes nothing.
  for file in "${generated[@]}"; do
    install -D "$file" "$keep/$file" || status=1
  done
  go run ./functions/all/cmd/generate || status=1
  for file in "${generated[@]}"; do
    if ! diff -u --label "$file" --label "$file, generated" "$keep/$file" "$file" | head -n 40; then status=1; fi
    cmp -s "$keep/$file" "$file" || { echo "$file is not current: make generate"; status=1; cp "$keep/$file" "$file"; }
  done
  rm -rf "$keep"
  return "$status"
}

# A module on its own: neither go.work nor another module's choice of versions.
in_each() {
  local dir bad=0
  while IFS= read -r dir; do
    [ -n "$(cd "$dir" && GOWORK=off go list ./... 2>/dev/null)" ] || { echo "${dir#"$PWD"/} has no packages yet"; continue; }
    (cd "$dir" && GOWORK=off "$@") || { echo "in ${dir#"$PWD"/}"; bad=1; }
  done < <(go list -m -f '{{.Dir}}')
  return "$bad"
}

# The rules of an independent linter for OpenAPI (.spectral.yaml).
openapi() {
  local spectral
  spectral=$(scripts/npm-tool.sh spectral) || return 1
  "$spectral" lint --ruleset .spectral.yaml --fail-severity warn router/openapi.json
}

step functions.json go run ./scripts/cmd/functions check
step operations operations
step tidy in_each go mod tidy -diff
step deps.txt go run ./scripts/cmd/deps -check
step build in_each go build ./...
step vet in_each go vet ./...
step archives scripts/package.sh -check
step openapi openapi
step compatible go run ./scripts/cmd/compatible
step documents scripts/documents.sh
finish
