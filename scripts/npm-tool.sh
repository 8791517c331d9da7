#!/usr/bin/env bash
# Prints the path of a program of scripts/tools/npm, installed if it is not there:
#   scripts/npm-tool.sh spectral
# The versions, those of everything below them too, and the sums of the archives
# are those of package-lock.json; no archive's own script runs. A changed lock
# installs anew, and what was there stays.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
lock=scripts/tools/npm/package-lock.json
into=$PWD/.local/npm/$(git hash-object "$lock" | cut -c1-12)
program=$into/node_modules/.bin/$name

if [ ! -e "$program" ]; then
  command -v npm >/dev/null || {
    as=()
    [ "$(id -u)" = 0 ] || as=(sudo -n)
    install=("${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install nodejs npm)
    command -v apt-get >/dev/null && { "${install[@]}" || { "${as[@]}" apt-get -q update && "${install[@]}"; }; } || {
      echo "$name needs Node.js and npm: https://nodejs.org/ (make doctor)" >&2
      exit 1
    }
  } >&2
  echo "installing the programs of scripts/tools/npm (about a minute, once)" >&2
  # Under another name until it is whole: an interrupted install leaves no half of one.
  part=$into.part.$$
  trap 'rm -rf "$part"' EXIT
  mkdir -p "$part"
  cp scripts/tools/npm/package.json "$lock" "$part"
  npm ci --prefix "$part" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  rm -rf "$into"
  mv "$part" "$into"
  [ -e "$program" ] || { echo "there is no program $name in scripts/tools/npm" >&2; exit 1; }
fi
echo "$program"
