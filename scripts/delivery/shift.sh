#!/usr/bin/env bash
# Gives the new revisions 5, 50, then 100 % of the traffic, and watches them in
# between; when one is not healthy, or anything else fails, all that this release
# shifted go back to where they were:
#   shift.sh functions|router
# The router's go back before the functions', which are shifted first.
#
#   WATCH   seconds of traffic that are judged after each step, 300
#   LAG     seconds until Cloud Monitoring shows what was, 180
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "functions or router" "${1:-}"

mapfile -t all < <(names)
services=() functions=()
for name in "${all[@]}"; do
  [ "$name" = router ] || functions+=("$name")
done
if [ "$1" = router ]; then
  for name in "${all[@]}"; do
    [ "$name" != router ] || services+=("$name")
  done
  shifted=("${services[@]+"${services[@]}"}" "${functions[@]+"${functions[@]}"}")
else
  services=("${functions[@]+"${functions[@]}"}")
  shifted=("${services[@]+"${services[@]}"}")
fi
((${#services[@]})) || skip "$1"

back() {
  trap - EXIT
  echo "going back" >&2
  scripts/delivery/rollback.sh "${shifted[@]}"
  exit 1
}
# However it ends: a failure inside a function does not reach a trap on ERR.
trap back EXIT
trap 'exit 1' INT TERM

pairs=()
for name in "${services[@]}"; do pairs+=("$name=$name-$RELEASE"); done
# What is seen after the lag is all since the step began.
window=$((${WATCH:-300} + ${LAG:-180}))
for percent in 5 50 100; do
  for name in "${services[@]}"; do
    run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" --to-tags="$RELEASE=$percent" --quiet
  done
  run sleep "$window"
  TOKEN=$(ask TOKEN gcloud auth print-access-token)
  export TOKEN
  show release healthy -project "$PROJECT" -window "${window}s" "${pairs[@]}" >&2
  [ -n "$DRY_RUN" ] || helper healthy -project "$PROJECT" -window "${window}s" "${pairs[@]}"
done
trap - EXIT
