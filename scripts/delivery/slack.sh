#!/usr/bin/env bash
# Tells Slack WHAT happened, with a link to the RUN. Where no webhook is set it says
# so and goes on: nobody's release fails for want of a message.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/delivery/lib.sh

need "WHAT" "${WHAT:-}"
if [ -z "${SLACK_WEBHOOK:-}" ] && [ -z "$DRY_RUN" ]; then
  echo "SLACK_WEBHOOK is not set; not told: $WHAT" >&2
  exit 0
fi
text=${WHAT//\\/\\\\}
text=${text//\"/\\\"}
show curl --data "{\"text\": \"$text ${RUN:-}\"}" SLACK_WEBHOOK >&2 # the address is a secret
if [ -z "$DRY_RUN" ]; then
  # Read from standard input, so that the address is in no list of processes.
  curl --silent --show-error --fail --max-time 20 --header 'Content-Type: application/json' \
    --data "{\"text\": \"$text ${RUN:-}\"}" --config - <<<"url = \"$SLACK_WEBHOOK\"" >/dev/null
fi
