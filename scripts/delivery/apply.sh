#!/usr/bin/env bash
# Applies an environment: the plan that it makes is the one that it applies. What it
# must be given is in inputs.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
. scripts/delivery/inputs.sh

inputs -plan=false
plan=$work/$ENVIRONMENT.tfplan
run terraform -chdir="$dir" init -input=false -no-color -backend-config="bucket=$STATE_BUCKET"
run terraform -chdir="$dir" plan -input=false -no-color -lock-timeout=10m -var-file="$images" -out="$plan"
run terraform -chdir="$dir" apply -input=false -no-color -lock-timeout=10m "$plan"
