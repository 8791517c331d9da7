#!/usr/bin/env bash
# Notes that this commit is what the environment runs. The last step: a release that
# failed leaves the note of before, and the next one deploys what both changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

if [ -n "$DRY_RUN" ]; then
  show gcloud storage cp - "gs://$PROJECT-releases/current" >&2
else
  printf '%s\n' "$COMMIT" | gcloud storage cp - "gs://$PROJECT-releases/current"
fi
