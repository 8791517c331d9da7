#!/usr/bin/env bash
# Builds what the later steps ask and sign with, into $STATE/bin: they run in images
# that have no Go. Each tool by its version, checked against Go's checksum database.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

bin=$PWD/$STATE/bin
run mkdir -p "$bin"
run env CGO_ENABLED=0 go build -trimpath -o "$bin/release" ./scripts/cmd/release
run env CGO_ENABLED=0 GOWORK=off GOBIN="$bin" go install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
run env CGO_ENABLED=0 GOWORK=off GOBIN="$bin" go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
