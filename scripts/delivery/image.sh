#!/usr/bin/env bash
# Builds the router or the migrations from the Dockerfile and pushes the image:
#   image.sh router|migrate
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"
need "router or migrate" "${1:-}"
name=$1

changed "$name" || skip "$name"
run docker build --target "$name" --tag "$REGISTRY/$name:$COMMIT" --label "org.opencontainers.image.revision=$COMMIT" .
run docker push --quiet "$REGISTRY/$name:$COMMIT"
digests=$(ask "$REGISTRY/$name@DIGEST" docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$REGISTRY/$name:$COMMIT")
[ -z "$DRY_RUN" ] || exit 0
mkdir -p "$STATE/images"
grep -m1 "^$REGISTRY/$name@sha256:" <<<"$digests" >"$STATE/images/$name"
