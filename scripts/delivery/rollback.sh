#!/usr/bin/env bash
# Gives all traffic back to the revisions that had it before this release:
#   rollback.sh [NAME[=REVISION] …]
# Without a revision it is the one that deploy.sh noted. The schema stays as it is:
# it was only expanded. Tries every service, and fails when one did not go back.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
if (($# == 0)); then mapfile -t services < <(names); else services=("$@"); fi

status=0
for service in "${services[@]}"; do
  name=${service%%=*} revision=
  [[ $service != *=* ]] || revision=${service#*=}
  [ -n "$revision" ] || revision=$(cat "$STATE/before/$name" 2>/dev/null) || revision=${DRY_RUN:+BEFORE}
  if [ -z "$revision" ]; then
    echo "$name: say which revision, $name=REVISION (gcloud run revisions list --service=$name)" >&2
    status=1
    continue
  fi
  run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" --to-revisions="$revision=100" --quiet || status=1
done
exit "$status"
