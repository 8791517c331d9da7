#!/usr/bin/env bash
# Builds every function, or those named, for AWS Lambda (provided.al2023)
# into dist/lambda/: a zip for arm64 and one for amd64, the same bytes for the
# same sources.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./scripts/cmd/package-lambda "$@"
