#!/usr/bin/env bash
# Gives the new revisions 5, 50, then 100 % of the traffic, and watches them after
# each step; in staging, which is blue-green, all of it at once. When one is not
# healthy, or anything else fails, all that this release shifted go back to where they
# were:
#   shift.sh functions|router
# The router's go back before the functions', which are shifted first.
#
#   STEPS   the percents, "5 50 100"; "100" in staging
#   WATCH   seconds of traffic that are judged after each step, 300
#   LAG     seconds until Cloud Monitoring shows what was, 180
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "functions or router" "${1:-}"
read -ra steps <<<"$STEPS"
least=0
for percent in "${steps[@]}"; do
  if [[ ! $percent =~ ^[0-9]{1,3}$ ]] || ((percent <= least || percent > 100)); then
    echo "STEPS are percents, each more than the one before: not $STEPS" >&2
    exit 2
  fi
  least=$percent
done
((least == 100)) || { echo "the last of STEPS is 100: not $STEPS" >&2; exit 2; }

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
for percent in "${steps[@]}"; do
  for name in "${services[@]}"; do
    run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" --to-revisions="$name-$RELEASE=$percent" --quiet
  done
  run sleep "$window"
  TOKEN=$(ask TOKEN gcloud auth print-access-token)
  export TOKEN
  show release healthy -project "$PROJECT" -window "${window}s" "${pairs[@]}" >&2
  [ -n "$DRY_RUN" ] || helper healthy -project "$PROJECT" -window "${window}s" "${pairs[@]}"
done
trap - EXIT
