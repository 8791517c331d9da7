#!/usr/bin/env bash
# Migrates before any new code takes traffic. Refuses what the running release does
# not survive: it goes on over the new schema, and so does what one rolls back to.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

changed migrate || skip migrate
since=${SINCE-$(cat "$STATE/since" 2>/dev/null || true)}
if [ -n "$DRY_RUN" ]; then
  show release expands -base "$since" >&2
else
  [ -z "$since" ] || helper expands -base "$since"
fi
run gcloud run jobs update migrate --project="$PROJECT" --region="$REGION" --image="$(image migrate)" --quiet
# The same image asks new revisions (smoke.sh); an old one would be cleaned away.
run gcloud run jobs update smoke --project="$PROJECT" --region="$REGION" --image="$(image migrate)" --quiet
run gcloud run jobs execute migrate --project="$PROJECT" --region="$REGION" --args=up --wait --quiet
