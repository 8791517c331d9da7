# shellcheck shell=bash
# What plan.sh and apply.sh give Terraform. Sourced after lib.sh.
#
#   STATE_BUCKET    the bucket of Terraform's state
#   TF_VAR_<name>   each variable of the environment that has no default, in
#                   Terraform's notation (a list is ["a", "b"])
#
# The project, the region and the bucket are said once and passed on; images are
# those in the registry. What a *.auto.tfvars in the environment's folder sets, as an
# operator's may, needs no TF_VAR_.

dir=terraform/environments/$ENVIRONMENT
# Terraform runs in $dir.
work=$STATE
[[ $work == /* ]] || work=$PWD/$work
images=$work/$ENVIRONMENT.images.tfvars.json
: "${STATE_BUCKET:=${DRY_RUN:+STATE_BUCKET}}"
export TF_VAR_project_id=$PROJECT TF_VAR_region=$REGION TF_VAR_state_bucket=$STATE_BUCKET

# asked are the variables without a default.
asked() {
  awk '/^variable "/ { name = $2; gsub(/"/, "", name); given = 0 }
       /^  default / { given = 1 }
       /^}/ { if (name != "" && !given) print name; name = "" }' "$dir/variables.tf"
}

# inputs stops when a variable has no value, all of them told at once, and writes
# $images. With -plan=true a function that was never built has an image that nobody can
# start, so that its plan can be seen before its release.
inputs() {
  local name variable missing=() found
  if [ -z "$DRY_RUN" ]; then
    need "STATE_BUCKET, the bucket of Terraform's state" "$STATE_BUCKET"
    for name in $(asked); do
      variable=TF_VAR_$name
      [ "$name" = images ] || [ -n "${!variable:-}" ] ||
        grep -qsE "^[[:space:]]*\"?$name\"?[[:space:]]*[=:]" "$dir"/*.auto.tfvars "$dir"/*.auto.tfvars.json ||
        missing+=("$variable")
    done
    ((${#missing[@]} == 0)) || need "${missing[*]} (docs/DEPLOYMENT.md)" ''
  fi
  run mkdir -p "$work"
  found=$(ask '' gcloud artifacts docker images list "$REGISTRY" --include-tags --format=json)
  show release images -registry "$REGISTRY" "$@" >&2
  [ -n "$DRY_RUN" ] || helper images -registry "$REGISTRY" "$@" <<<"$found" >"$images"
}
