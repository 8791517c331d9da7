#!/usr/bin/env bash
# Reads which commit this environment runs; record.sh wrote it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

at=gs://$PROJECT-releases/current
if [ -n "$DRY_RUN" ]; then
  show gcloud storage cat "$at" >&2
  exit 0
fi
mkdir -p "$STATE"
if said=$(gcloud storage cat "$at" 2>&1); then
  printf '%s\n' "$said" >"$STATE/since"
elif [[ $said == *"No URLs matched"* || $said == *"matched no objects"* ]]; then
  echo "nothing was deployed here yet"
  : >"$STATE/since"
else # not known is not nothing
  printf '%s\n' "$said" >&2
  exit 1
fi
