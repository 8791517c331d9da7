#!/usr/bin/env bash
# Stages the functions that changed into dist/, with vendored dependencies, and
# writes what each is made of (CycloneDX).
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

mapfile -t all < <(names)
functions=()
for name in "${all[@]}"; do
  [ "$name" = router ] || functions+=("$name")
done
if ((${#functions[@]})); then
  run scripts/package.sh "${functions[@]}"
  for name in "${functions[@]}"; do
    run "$STATE/bin/cyclonedx-gomod" mod -json -licenses -output "$STATE/sbom-$name.json" "dist/$name"
  done
fi
for module in router migrations; do
  name=${module/migrations/migrate}
  if changed "$name"; then
    run env GOWORK=off "$STATE/bin/cyclonedx-gomod" mod -json -licenses -output "$STATE/sbom-$name.json" "$module"
  fi
done
