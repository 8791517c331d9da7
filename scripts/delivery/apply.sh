#!/usr/bin/env bash
# Applies an environment: the plan that it makes is the one that it applies.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

dir=terraform/environments/$ENVIRONMENT
plan=$PWD/$STATE/$ENVIRONMENT.tfplan
run mkdir -p "$STATE"
run terraform -chdir="$dir" init -input=false -no-color
run terraform -chdir="$dir" plan -input=false -no-color -lock-timeout=10m -out="$plan"
run terraform -chdir="$dir" apply -input=false -no-color -lock-timeout=10m "$plan"
