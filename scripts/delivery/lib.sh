# shellcheck shell=bash
# What the scripts of a deployment share. Sourced.
#
# --dry-run anywhere in the arguments (or DRY_RUN=1) prints each command and runs
# none; `ask` prints its command too and answers with a word in capitals.
#
#   ENVIRONMENT   dev, staging or production
#   PROJECT       coditect-$ENVIRONMENT unless given
#   REGION        europe-west1 unless given
#   RELEASE       the tag of this release's revisions, r-<commit>, in Cloud Build with the
#                 build's first letters: a second try has images, so revisions, of its own
#   STEPS         percents of the traffic that new revisions get, one after the other:
#                 100 in staging, which is blue-green, 5 50 100 elsewhere
#   STATE         where the steps of one release leave what the next need, .release
#
# Of each service two revisions have an address of their own, by a tag: green is the
# one that the newest release made, blue the one that had the traffic then.

DRY_RUN=${DRY_RUN:-}
ARGS=()
for argument in "$@"; do
  if [ "$argument" = --dry-run ]; then DRY_RUN=1; else ARGS+=("$argument"); fi
done
set -- "${ARGS[@]+"${ARGS[@]}"}"

: "${ENVIRONMENT:=dev}" "${REGION:=europe-west1}" "${STATE:=.release}"
case $ENVIRONMENT in
  dev | staging | production) ;;
  *) echo "ENVIRONMENT is dev, staging or production, not $ENVIRONMENT" >&2; exit 2 ;;
esac
: "${PROJECT:=coditect-$ENVIRONMENT}"
: "${COMMIT:=$(git rev-parse HEAD 2>/dev/null || echo unknown)}"
: "${RELEASE:=r-${COMMIT:0:12}${BUILD_ID:+-${BUILD_ID:0:4}}}"
REGISTRY=$REGION-docker.pkg.dev/$PROJECT/images
if [ "$ENVIRONMENT" = staging ]; then : "${STEPS:=100}"; else : "${STEPS:=5 50 100}"; fi
# The helper, built by tools.sh; from source on a laptop.
HELPER=$STATE/bin/release
[ -x "$HELPER" ] || HELPER="go run ./scripts/cmd/release"
export DRY_RUN

show() { printf '+'; printf ' %q' "$@"; printf '\n'; }

# run does it, or says that it would.
run() {
  show "$@" >&2
  [ -n "$DRY_RUN" ] || "$@"
}

# ask gives the output of a command that changes nothing; ANSWER stands for it in a
# dry run.
ask() {
  local answer=$1
  shift
  show "$@" >&2
  if [ -n "$DRY_RUN" ]; then echo "$answer"; else "$@"; fi
}

# helper asks scripts/cmd/release.
helper() {
  # shellcheck disable=SC2086 # the two words of `go run`
  $HELPER "$@"
}

# need stops when an argument was forgotten.
need() {
  [ -n "${2:-}" ] || { echo "say $1" >&2; exit 2; }
}

# changed reports whether this release has something for a name. Outside of one
# whoever names a service means it.
changed() {
  [ -f "$STATE/changed" ] || return 0
  grep -qx -- "$1" "$STATE/changed"
}

# names are what this release deploys, one a line, of the kinds that are services.
names() {
  if [ -f "$STATE/changed" ]; then
    grep -vx migrate "$STATE/changed" || true
  elif [ -n "$DRY_RUN" ]; then
    go run ./scripts/cmd/functions list | cut -f1
    echo router
  else
    echo "$STATE/changed is missing: changed.sh comes first" >&2
    exit 1
  fi
}

# image is the address of a name's image, by digest.
image() {
  if [ -f "$STATE/images/$1" ]; then
    cat "$STATE/images/$1"
  elif [ -n "$DRY_RUN" ]; then
    echo "$REGISTRY/$1@DIGEST"
  else
    echo "no image of $1 was built" >&2
    return 1
  fi
}

# skip ends a step that has nothing to do.
skip() {
  echo "$1 has not changed"
  exit 0
}
