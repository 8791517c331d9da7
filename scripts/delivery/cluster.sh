#!/usr/bin/env bash
# Applies terraform/kubernetes to an environment's cluster, with images by digest:
#   cluster.sh dev|staging|production [--dry-run]
#   TF_VAR_base_domain    the environment's domain, as Terraform is given it
# The images of Hydra and PgBouncer are in our registry, put and signed there once
# for each version (docs/DEPLOYMENT.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
ENVIRONMENT=${1:-}
. scripts/delivery/lib.sh

domain=${TF_VAR_base_domain:-${DRY_RUN:+BASE_DOMAIN}}
need 'TF_VAR_base_domain, the host under which tenants have their subdomains' "$domain"
[ -n "$DRY_RUN" ] || [[ $domain =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+$ ]] || need 'a host in TF_VAR_base_domain: lower-case, without a scheme or a path' ''
overlay=terraform/kubernetes/overlays/$ENVIRONMENT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# In a region or, where an environment saves, in one zone; by its name, since the
# control plane has no address outside.
location=$(ask "$REGION" gcloud container clusters list --project="$PROJECT" --filter=name=coditect --format='value(location)')
need "a cluster: $PROJECT has none that is called coditect" "$location"
run gcloud container clusters get-credentials coditect --project="$PROJECT" --location="$location" --dns-endpoint
ask '' kubectl kustomize "$overlay" >"$work/all.yaml"
for name in hydra pgbouncer; do
  tag=$(sed -n "s/.*name: $name, newName: .*, newTag: \(.*\)}/\1/p" "$overlay/kustomization.yaml")
  need "a tag of $name in $overlay" "$tag"
  digest=$(ask sha256:DIGEST gcloud artifacts docker images describe "$REGISTRY/$name:$tag" --format='value(image_summary.digest)')
  run sed -i "s|image: $REGISTRY/$name:$tag\$|image: $REGISTRY/$name@$digest|" "$work/all.yaml"
done
run sed -i "s|BASE_DOMAIN|$domain|g" "$work/all.yaml"
run kubectl diff -f "$work/all.yaml" || [ $? = 1 ] # 1 says that there are differences
run kubectl apply --server-side --field-manager=delivery -f "$work/all.yaml"
for name in hydra pgbouncer; do
  run kubectl rollout status "deployment/$name" --namespace="coditect-$ENVIRONMENT" --timeout=10m
done
