#!/usr/bin/env bash
# Writes what this release deploys and tests: what differs from the commit that was
# deployed last, by each function's deps.txt. SINCE is that commit (since.sh finds
# it); nothing means everything.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

since=${SINCE-$(cat "$STATE/since" 2>/dev/null || true)}
if [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = true ]; then
  run git fetch --quiet --unshallow
fi
if [ -n "$DRY_RUN" ]; then
  show release changed -base "$since" >&2
  show release changed -base "$since" -tests >&2
  exit 0
fi
mkdir -p "$STATE/images"
helper changed -base "$since" >"$STATE/changed"
helper changed -base "$since" -tests >"$STATE/tests"
echo "since ${since:-ever}: $(wc -l <"$STATE/changed") to deploy, $(wc -l <"$STATE/tests") to test"
