# shellcheck shell=bash
# Runs named steps, all of them even after one failed, and sums up. Sourced by
# the scripts that consist of steps:
#   step NAME COMMAND …
#   finish

passed=0
failed=()
began=$SECONDS

step() {
  local name=$1 from=$SECONDS
  shift
  printf '== %s\n' "$name"
  # No input: a step that asks a question fails instead of waiting for ever.
  if "$@" </dev/null; then
    passed=$((passed + 1))
    printf -- '-- %s: ok, %d s\n' "$name" $((SECONDS - from))
  else
    failed+=("$name")
    printf -- '-- %s: FAILED, %d s\n' "$name" $((SECONDS - from))
  fi
}

finish() {
  if ((${#failed[@]})); then
    printf 'failed: %s\n' "$(IFS=,; echo "${failed[*]}")"
  fi
  printf '%d passed, %d failed in %d s\n' "$passed" "${#failed[@]}" $((SECONDS - began))
  ((${#failed[@]} == 0))
  exit
}
