#!/bin/sh
# Build telemetrygen, OpenTelemetry's own generator of telemetry, once per version, and print where it is. Needs Go;
# modules come from the Go module proxy, checked against its checksum database.
# With --if-built nothing is built, and it fails where nothing was.
set -eu
version=v0.161.0
binary="${XDG_CACHE_HOME:-$HOME/.cache}/foreband/telemetrygen-$version/telemetrygen"
if [ ! -x "$binary" ]; then
  [ "${1:-}" != --if-built ] || exit 1
  command -v go >/dev/null 2>&1 || { echo "telemetrygen is built with Go, which is not installed" >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  GOBIN="$work" nice -n 5 go install "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@$version" >&2
  mkdir -p "$(dirname "$binary")"
  mv "$work/telemetrygen" "$binary" # appears whole or not at all
fi
echo "$binary"
