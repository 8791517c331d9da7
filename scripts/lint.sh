#!/usr/bin/env bash
# Format, golangci-lint (.golangci.yml) and the rules of the house
# (scripts/houselint), over every module of the workspace. Arguments go to
# golangci-lint: `scripts/lint.sh --fix` mends what it can.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

formatted() {
  local files
  files=$(gofmt -l $(go list -m -f '{{.Dir}}' | grep -v '/testdata/')) || return 1
  [ -z "$files" ] || { printf 'not formatted (make fmt):\n%s\n' "$files"; return 1; }
}

golangci() {
  local linter modules=() dir
  linter=$(scripts/tool.sh golangci-lint) || return 1
  # A module without packages yet would be an error to the linter.
  while IFS= read -r dir; do
    [ -z "$(cd "$dir" && go list ./... 2>/dev/null)" ] || modules+=(".${dir#"$PWD"}/...")
  done < <(go list -m -f '{{.Dir}}')
  "$linter" run "$@" "${modules[@]}"
}

shells() {
  local script
  while IFS= read -r script; do
    bash -n "$script" || return 1
  done < <(git ls-files '*.sh' .ci/run '.githooks/*')
}

step format formatted
step golangci-lint golangci "$@"
step house-rules go run ./scripts/cmd/houselint
step shell-syntax shells
finish
