#!/bin/sh
# Install the official SDK for Node.js and axe-core from the pinned, hashed package-lock.json, once per lock, and print where it is.
# With --if-installed nothing is installed, and it fails where nothing was.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
directory="${XDG_CACHE_HOME:-$HOME/.cache}/foreband/node-$(sha256sum <"$here/package-lock.json" | cut -c1-16)"
if [ ! -d "$directory" ]; then
  [ "${1:-}" != --if-installed ] || exit 1
  command -v npm >/dev/null 2>&1 || { echo "npm is not installed" >&2; exit 1; }
  mkdir -p "$(dirname "$directory")"
  work=$(mktemp -d "$directory.XXXXXX")
  cp "$here/package.json" "$here/package-lock.json" "$work"
  (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund >&2) || { rm -rf "$work"; exit 1; }
  mv "$work" "$directory" # appears whole or not at all
fi
echo "$directory/node_modules"
