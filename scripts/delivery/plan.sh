#!/usr/bin/env bash
# Plans an environment into $STATE/plan.txt, without taking the lock: who plans may
# only read. --no-changes fails when there is anything to change. What it must be
# given is in inputs.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
. scripts/delivery/inputs.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"

inputs -plan=true
run terraform -chdir="$dir" init -input=false -no-color -backend-config="bucket=$STATE_BUCKET"
plan=(terraform -chdir="$dir" plan -input=false -lock=false -no-color -detailed-exitcode -var-file="$images")
show "${plan[@]}" >&2
[ -z "$DRY_RUN" ] || exit 0
status=0
"${plan[@]}" >"$STATE/plan.txt" 2>&1 || status=$?
case $status in
  0) echo "nothing to change in $ENVIRONMENT" ;;
  2)
    cat "$STATE/plan.txt"
    [ "${1:-}" != --no-changes ] || { echo "$ENVIRONMENT is not what the code says" >&2; exit 1; }
    ;;
  *) cat "$STATE/plan.txt" >&2; exit "$status" ;;
esac
