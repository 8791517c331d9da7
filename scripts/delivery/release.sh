#!/usr/bin/env bash
# Starts a release of the commit that is checked out, as the pipeline does after an
# approval: release.sh dev|staging|production [--dry-run]
# With --dry-run it prints the command that starts it, then those of every step.
set -euo pipefail
cd "$(dirname "$0")/../.."
ENVIRONMENT=${1:-}
. scripts/delivery/lib.sh
set -- "${ARGS[@]+"${ARGS[@]}"}"

changes=$(ask '' git status --porcelain)
[ -z "$changes" ] || { echo "the tree has changes that no commit has" >&2; exit 1; }
run gcloud builds submit --project="$PROJECT" --region="$REGION" --config=cloudbuild.yaml \
  --substitutions="_ENVIRONMENT=$ENVIRONMENT,_COMMIT=$COMMIT" --git-source-revision="$COMMIT" https://github.com/coditect/platform
[ -n "$DRY_RUN" ] || exit 0
export ENVIRONMENT
scripts/delivery/since.sh
scripts/delivery/tools.sh
scripts/delivery/changed.sh
scripts/delivery/test.sh
scripts/delivery/package.sh
go run ./scripts/cmd/functions list | while IFS=$'\t' read -r name _ entry; do
  scripts/delivery/function-image.sh "$name" "$entry"
done
for name in router migrate; do scripts/delivery/image.sh "$name"; done
scripts/delivery/sign.sh
scripts/delivery/migrate.sh
while read -r name; do
  scripts/delivery/deploy.sh "$name"
  scripts/delivery/smoke.sh "$name"
done < <(names)
scripts/delivery/shift.sh functions
scripts/delivery/shift.sh router
scripts/delivery/record.sh
