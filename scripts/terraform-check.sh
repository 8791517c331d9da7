#!/usr/bin/env bash
# Everything about terraform/ that needs no cloud account: form, READMEs, the
# tests of every module and environment with mocked providers, the matrix of who
# may what (that it has all that is planned, too), and mutations that those tests
# must catch. Arguments are names of modules and environments; none means all.
#
#   TERRAFORM_CHECK   see scripts/terraform.sh
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

check() {
  local dir=$1 out status=0
  out=$(scripts/terraform.sh test "$dir" 2>&1) || status=1
  if ((status)); then printf '%s\n' "$out"; else printf '%s\n' "$out" | tail -n 1; fi
  return "$status"
}

go build -o .local/bin/terraform-check ./scripts/cmd/terraform || exit 1
step form .local/bin/terraform-check form
for dir in terraform/modules/*/ terraform/environments/*/; do
  [ -d "$dir" ] || continue
  name=$(basename "$dir")
  if (($# == 0)) || [[ " $* " == *" $name "* ]]; then step "$name" check "${dir%/}"; fi
done
for dir in terraform/environments/*/; do
  name=$(basename "$dir")
  if (($# == 0)) || [[ " $* " == *" $name "* ]]; then step "$name-access" .local/bin/terraform-check planned "$name"; fi
done
# Those of a module are made at once and cost one run of its tests.
for dir in terraform/modules/*/; do
  name=$(basename "$dir")
  grep -q "{\"$name\"," scripts/terraform/mutations.go || continue
  if (($# == 0)) || [[ " $* " == *" $name "* ]]; then step "$name-mutations" .local/bin/terraform-check mutations "$name"; fi
done
finish
