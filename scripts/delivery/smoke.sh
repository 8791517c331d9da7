#!/usr/bin/env bash
# Asks a revision that has no traffic yet:
#   smoke.sh NAME
# Functions answer inside the network only, so a job there does the asking. It is the
# image of the migrations, whose other program does nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "NAME" "${1:-}"
name=$1

changed "$name" || skip "$name"
url=$(ask "https://$name.example" gcloud run services describe "$name" --project="$PROJECT" --region="$REGION" --format='value(status.url)')
need "an address: $name has none" "$url"
run gcloud run jobs execute smoke --project="$PROJECT" --region="$REGION" --wait --quiet \
  --args="smoke,-audience,$url,-url,https://green---${url#https://}"
