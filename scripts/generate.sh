#!/usr/bin/env bash
# Writes everything that follows from something else: what functions.json
# implies, then what the functions' operations imply, then what each links.
set -euo pipefail
cd "$(dirname "$0")/.."

go run ./scripts/cmd/functions generate
go run ./functions/all/cmd/generate
go run ./scripts/cmd/deps -write
go run ./scripts/cmd/terraform generate # READMEs of terraform/modules, who may what
go run ./scripts/cmd/pages # tables and diagrams of docs/
