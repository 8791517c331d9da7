#!/usr/bin/env bash
# Notes that this commit is what the environment runs. The last step: a release that
# failed leaves the note of before, and the next one deploys what both changed. The
# commit of before stays noted, too, for rollback.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

note() {
  show gcloud storage cp - "gs://$PROJECT-releases/$1" >&2
  [ -n "$DRY_RUN" ] || printf '%s\n' "$2" | gcloud storage cp - "gs://$PROJECT-releases/$1"
}

before=$(cat "$STATE/since" 2>/dev/null) || before=${DRY_RUN:+BEFORE}
# The same commit again goes back to what was before the first time.
if [ -n "$before" ] && [ "$before" != "$COMMIT" ]; then note previous "$before"; fi
note current "$COMMIT"
