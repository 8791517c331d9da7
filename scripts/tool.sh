#!/usr/bin/env bash
# Prints the path of a tool of scripts/tools/go.mod or scripts/delivery/go.mod, built
# if it is not there:
#   scripts/tool.sh golangci-lint
# Two modules, since two of the tools do not build with each other's libraries.
# The path carries the version, so a raised version builds anew and both stay.
set -euo pipefail
cd "$(dirname "$0")"

name=$1 package=
for module in tools delivery; do
  cd "$module"
  package=$(GOWORK=off go list -f '{{.ImportPath}}' tool | grep "/$name\$") && break
  cd ..
done
[ -n "$package" ] || { echo "there is no tool $name in scripts/tools/go.mod or scripts/delivery/go.mod" >&2; exit 1; }
version=$(GOWORK=off go list -f '{{.Module.Version}}' "$package")
binary=$(cd ../.. && pwd)/.local/bin/$name-$version-$(go env GOVERSION)

if [ ! -x "$binary" ]; then
  echo "building $name $version (about two minutes, once)" >&2
  mkdir -p "$(dirname "$binary")"
  # Under another name until it is whole: an interrupted build leaves no half of one.
  GOWORK=off go build -trimpath -ldflags='-s -w' -o "$binary.part" "$package"
  mv "$binary.part" "$binary"
fi
echo "$binary"
