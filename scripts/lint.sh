#!/usr/bin/env bash
# Format, golangci-lint (.golangci.yml) and the rules of the house
# (scripts/houselint), over every module of the workspace; then shell scripts,
# workflows, and what is deployed by them (scripts/delivery). Arguments go to
# golangci-lint: `scripts/lint.sh --fix` mends what it can.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

formatted() {
  local files modules
  mapfile -t modules < <(go list -m -f '{{.Dir}}' | grep -v '/testdata/')
  files=$(gofmt -l "${modules[@]}") || return 1
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

# From Debian, or whatever the system calls its package.
shells() {
  local scripts
  if ! command -v shellcheck >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "shellcheck is missing: install your system's package of that name" >&2; return 1; }
    apt-get update -qq && apt-get install -y -qq --no-install-recommends shellcheck >/dev/null || return 1
  fi
  mapfile -t scripts < <(git ls-files '*.sh' .ci/run '.githooks/*')
  shellcheck --external-sources "${scripts[@]}"
}

workflows() {
  local actionlint
  # It calls shellcheck for what workflows run.
  actionlint=$(scripts/tool.sh actionlint) && "$actionlint"
}

# A module that go.work does not know, so that the libraries of Kubernetes and AWS
# choose nobody else's versions.
delivery() {
  local linter
  linter=$(scripts/tool.sh golangci-lint) || return 1
  (cd scripts/delivery && export GOWORK=off && go mod tidy -diff && go vet ./... && "$linter" run "$@" && go test -count=1 ./...)
}

step format formatted
step golangci-lint golangci "$@"
step house-rules go run ./scripts/cmd/houselint
step shellcheck shells
step actionlint workflows
step delivery delivery "$@"
finish
