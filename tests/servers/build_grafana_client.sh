#!/bin/sh
# Build grafana_client/, Grafana's own Prometheus data source as a program, once per version of it, and print where it is.
# Needs Go; modules come from the Go module proxy, checked against go.sum. With --if-built nothing is built, and it fails
# where nothing was.
set -eu
here=$(cd "$(dirname "$0")/grafana_client" && pwd)
name=grafana-client-$(cat "$here/main.go" "$here/go.mod" | sha256sum | cut -c1-16)
binary="${XDG_CACHE_HOME:-$HOME/.cache}/foreband/$name/grafana-client"
if [ ! -x "$binary" ]; then
  [ "${1:-}" != --if-built ] || exit 1
  command -v go >/dev/null 2>&1 || { echo "Grafana's client is built with Go, which is not installed" >&2; exit 1; }
  mkdir -p "$(dirname "$binary")"
  cd "$here"
  nice -n 5 go build -mod=readonly -trimpath -ldflags "-s -w" -o "$binary.new" . >&2
  mv "$binary.new" "$binary" # appears whole or not at all
fi
echo "$binary"
