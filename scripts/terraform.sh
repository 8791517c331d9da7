#!/usr/bin/env bash
# Runs `terraform validate` or `terraform test` on one folder, without a cloud
# account: scripts/terraform.sh validate|test DIR [ARGUMENT…]
#
#   TERRAFORM_CHECK   a program that is called in terraform's place, with these
#                     arguments; without it the providers come from the registry
set -euo pipefail
verb=$1 dir=$2
shift 2

if [ -n "${TERRAFORM_CHECK:-}" ]; then
  command -v "$TERRAFORM_CHECK" >/dev/null || { echo "TERRAFORM_CHECK names $TERRAFORM_CHECK, which is no program" >&2; exit 1; }
  exec "$TERRAFORM_CHECK" "$verb" "$dir" "$@"
fi
command -v terraform >/dev/null || { echo "terraform is missing (1.11 or newer: developer.hashicorp.com/terraform/install), and TERRAFORM_CHECK is not set" >&2; exit 1; }
# Beside the tree, so that nobody's own initialisation is touched.
TF_DATA_DIR=$(mktemp -d)
export TF_DATA_DIR TF_IN_AUTOMATION=1
trap 'rm -rf "$TF_DATA_DIR"' EXIT
terraform -chdir="$dir" init -backend=false -input=false -no-color >"$TF_DATA_DIR/log" 2>&1 ||
  { cat "$TF_DATA_DIR/log" >&2; exit 1; }
terraform -chdir="$dir" "$verb" -no-color "$@"
