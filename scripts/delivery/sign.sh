#!/usr/bin/env bash
# Signs what was built, by digest, with the key that only this pipeline may use:
# the signature, the bill of materials, where it came from, and the attestation
# without which neither Cloud Run nor the cluster starts the image.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

ring=projects/$PROJECT/locations/$REGION/keyRings/image-signing/cryptoKeys/images
key=gcpkms://$ring
version=$ring/cryptoKeyVersions/1
mapfile -t all < <(names)
if changed migrate; then all+=(migrate); fi
for name in "${all[@]}"; do
  image=$(image "$name")
  if [ -n "$DRY_RUN" ]; then
    show release provenance -name "$name" -build "${BUILD_ID:-local}" -commit "$COMMIT" >&2
  else
    helper provenance -name "$name" -build "${BUILD_ID:-local}" -commit "$COMMIT" >"$STATE/provenance-$name.json"
  fi
  run "$STATE/bin/cosign" sign --yes --tlog-upload=false --key "$key" "$image"
  run "$STATE/bin/cosign" attest --yes --tlog-upload=false --key "$key" --type cyclonedx --predicate "$STATE/sbom-$name.json" "$image"
  run "$STATE/bin/cosign" attest --yes --tlog-upload=false --key "$key" --type slsaprovenance1 --predicate "$STATE/provenance-$name.json" "$image"
  run gcloud container binauthz attestations sign-and-create --project="$PROJECT" --artifact-url="$image" \
    --attestor=built-by-ci --attestor-project="$PROJECT" --keyversion="$version"
done
