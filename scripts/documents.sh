#!/usr/bin/env bash
# Uses the API's documents as their readers do, on a platform of its own that
# `make run` starts: runs the collection for Postman whole, and tries an
# operation in the documentation's page.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/steps.sh

home=$(mktemp -d)
log=$home/run.log
# A port that nobody listens on now.
port=$((20000 + RANDOM % 20000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
url=http://127.0.0.1:$port

end() {
  [ -z "${platform:-}" ] || { kill -TERM "$platform" && wait "$platform"; } 2>/dev/null
  rm -rf "$home"
}
trap end EXIT
trap 'exit 130' INT TERM

start() {
  go build -o .local/bin/local ./scripts/cmd/local || return 1
  # As `make run` does, but for where and with what limits: the collection is
  # run from one address, all at once.
  CODITECT_HOME=$home/state PORT=$port .local/bin/local run >"$log" 2>&1 &
  platform=$!
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    grep -qx ready "$log" && return
    kill -0 "$platform" 2>/dev/null || break
    sleep 0.5
  done
  cat "$log"
  return 1
}

collection() {
  local newman
  newman=$(scripts/npm-tool.sh newman) || return 1
  "$newman" run docs/postman_collection.json --environment docs/postman_environment.json \
    --env-var "base_url=$url" --env-var "mailbox_url=$url/_local/mail/" \
    --timeout-request 60000 --color off --reporters cli --reporter-cli-no-banner --reporter-cli-no-success-assertions
}

page() {
  local browser
  browser=$(scripts/chromium.sh) || return 1
  go run ./scripts/cmd/docspage -url "$url" -chromium "$browser"
}

step start start
if ((${#failed[@]} == 0)); then
  step collection collection
  step page page
fi
finish
