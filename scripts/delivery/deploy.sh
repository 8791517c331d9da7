#!/usr/bin/env bash
# Makes a revision of one service that gets no traffic, only an address of its own:
#   deploy.sh NAME
# It is green; blue is the one that has the traffic, and stays there to go back to.
# Everything but the image is Terraform's and stays as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "NAME" "${1:-}"
name=$1

changed "$name" || skip "$name"
before=$(ask '{"status":{"traffic":[{"revisionName":"BEFORE","percent":100}]}}' gcloud run services describe "$name" --project="$PROJECT" --region="$REGION" --format=json)
show release serving >&2
before=$(helper serving <<<"$before")
if [ -z "$DRY_RUN" ]; then
  mkdir -p "$STATE/before"
  echo "$before" >"$STATE/before/$name"
fi
run gcloud run services update-traffic "$name" --project="$PROJECT" --region="$REGION" --update-tags="blue=$before" --quiet
run gcloud run services update "$name" --project="$PROJECT" --region="$REGION" --image="$(image "$name")" \
  --revision-suffix="${RELEASE}" --tag=green --no-traffic --update-labels="commit=$COMMIT" --quiet
