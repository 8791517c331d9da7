#!/usr/bin/env bash
# Says on the pull request PULL what plan.sh found. A later plan replaces the comment.
#
#   OUTCOME   how plan.sh ended; anything but success means that the plan failed,
#             whatever it printed before
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

need "PULL, the number of the pull request" "${PULL:-}"
mark="<!-- plan of $ENVIRONMENT -->"
body=$STATE/comment.md
if [ -n "$DRY_RUN" ]; then body=/dev/stdout; else mkdir -p "$STATE"; fi
said='the plan failed'
if [ "${OUTCOME:-success}" = success ]; then
  said=$(grep -m1 -E '^(Plan:|No changes)' "$STATE/plan.txt" 2>/dev/null || echo "$said")
fi
{
  echo "$mark"
  echo "**$ENVIRONMENT**: $said"
  # A comment takes 65,536 characters; the run's log has the rest.
  # shellcheck disable=SC2016 # backticks of Markdown
  printf '\n<details><summary>plan</summary>\n\n```\n%s\n```\n</details>\n' "$(head -c 60000 "$STATE/plan.txt" 2>/dev/null || true)"
} >"$body"
before=$(ask '' gh api --paginate "repos/{owner}/{repo}/issues/$PULL/comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n1)
if [ -n "$before" ]; then
  run gh api --silent --method PATCH "repos/{owner}/{repo}/issues/comments/$before" --field "body=@$body"
else
  run gh pr comment "$PULL" --body-file "$body"
fi
