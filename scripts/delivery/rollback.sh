#!/usr/bin/env bash
# Gives all traffic back to the revisions that had it before a release:
#   rollback.sh [NAME[=REVISION] …]
#   rollback.sh --release COMMIT
# Without a revision it is the one that deploy.sh noted in this release or, when it is
# over, the one that it tagged blue. --release is for all services of a release that
# is over; then the commit of before is noted as what runs, so that the next release
# deploys all of it again. The schema stays as it is: it was only expanded. Tries every
# service, the router first, and fails when one did not go back.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
commit=
if [ "${1:-}" = --release ]; then
  need "the commit of the release" "${2:-}"
  commit=$2
  found=$(ask $'SERVICE\nrouter' gcloud run services list --project="$PROJECT" --region="$REGION" --filter="metadata.labels.commit=$commit" --format='value(metadata.name)') || exit 1
  need "a commit that was released: no service of $PROJECT has a revision of $commit" "$found"
  mapfile -t services < <(grep -x router <<<"$found"; grep -vx router <<<"$found")
elif (($# == 0)); then
  changed=$(names) || exit 1
  services=()
  [ -z "$changed" ] || mapfile -t services <<<"$changed"
else
  services=("$@")
fi

status=0
for service in "${services[@]+"${services[@]}"}"; do
  name=${service%%=*} to=
  if [[ $service == *=* ]]; then
    to=--to-revisions=${service#*=}=100
  elif [ -z "$commit" ] && before=$(cat "$STATE/before/$name" 2>/dev/null); then
    to=--to-revisions=$before=100
  elif [ -z "$commit" ] && [ -f "$STATE/changed" ]; then
    # This release did not get as far as to it, so that its blue is an older one's.
    echo "$name: its revision of before was not noted: say which, $name=REVISION (gcloud run revisions list --service=$name)" >&2
    status=1
    continue
  else
    to=--to-tags=blue=100
  fi
  run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" "$to" --quiet || status=1
done

if [ -n "$commit" ] && ((status == 0)); then
  noted=$(ask "$commit" gcloud storage cat "gs://$PROJECT-releases/current") || exit 1
  # One that was never noted left the note of before.
  if [ "$noted" = "$commit" ]; then
    run gcloud storage cp "gs://$PROJECT-releases/previous" "gs://$PROJECT-releases/current" || status=1
  fi
fi
exit "$status"
