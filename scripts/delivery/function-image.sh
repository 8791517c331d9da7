#!/usr/bin/env bash
# Builds a staged function with Google's buildpack and pushes the image:
#   function-image.sh NAME ENTRY
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "NAME and ENTRY" "${2:-}"
name=$1 entry=$2

changed "$name" || skip "$name"
run pack build "$REGISTRY/$name:$COMMIT" --publish --path "dist/$name" \
  --builder gcr.io/buildpacks/builder:google-24 --trust-builder \
  --env GOOGLE_FUNCTION_TARGET="$entry" --env GOOGLE_FUNCTION_SIGNATURE_TYPE=http \
  --env "GOOGLE_GOLDFLAGS=-s -w" --env GOFLAGS=-tags=disable_grpc_modules,grpcnotrace,nethttpomithttp2 --env GOOGLE_RUNTIME_VERSION=1.26 \
  --report-output-dir "$STATE/report-$name"
[ -z "$DRY_RUN" ] || exit 0
digest=$(sed -n 's/^ *digest = "\(sha256:[0-9a-f]\{64\}\)"$/\1/p' "$STATE/report-$name/report.toml")
need "a digest: pack reported none" "$digest"
mkdir -p "$STATE/images"
echo "$REGISTRY/$name@$digest" >"$STATE/images/$name"
