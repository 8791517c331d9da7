#!/usr/bin/env bash
# Gives the new revisions 5, 50, then 100 % of the traffic, and watches them in
# between; when one is not healthy, or anything else fails, all go back to where
# they were:
#   shift.sh functions|router
#
#   WATCH   seconds from each step to the judgement, 300
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "functions or router" "${1:-}"

mapfile -t all < <(names)
services=()
for name in "${all[@]}"; do
  if [ "$1" = router ]; then
    [ "$name" != router ] || services+=("$name")
  else
    [ "$name" = router ] || services+=("$name")
  fi
done
((${#services[@]})) || skip "$1"

back() {
  trap - EXIT
  echo "going back" >&2
  scripts/delivery/rollback.sh "${services[@]}"
  exit 1
}
# However it ends: a failure inside a function does not reach a trap on ERR.
trap back EXIT
trap 'exit 1' INT TERM

pairs=()
for name in "${services[@]}"; do pairs+=("$name=$name-$RELEASE"); done
for percent in 5 50 100; do
  for name in "${services[@]}"; do
    run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" --to-tags="$RELEASE=$percent" --quiet
  done
  run sleep "${WATCH:-300}"
  if [ -n "$DRY_RUN" ]; then
    show release healthy -project "$PROJECT" -window "${WATCH:-300}s" "${pairs[@]}" >&2
  else
    TOKEN=$(gcloud auth print-access-token)
    export TOKEN
    helper healthy -project "$PROJECT" -window "${WATCH:-300}s" "${pairs[@]}"
  fi
done
trap - EXIT
