#!/usr/bin/env bash
# Stages every function, or those named, into dist/: a folder with vendored
# dependencies and a zip of it, the same bytes for the same sources.
# -check builds each as the cloud does and starts it.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./scripts/cmd/package "$@"
