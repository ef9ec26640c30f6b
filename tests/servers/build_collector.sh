#!/bin/sh
# Build the OpenTelemetry Collector of otel-config/collector-builder.yaml with the Collector Builder, once per manifest,
# and print where it is. Needs Go; modules come from the Go module proxy, checked against its checksum database.
# With --if-built nothing is built, and it fails where nothing was.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
manifest="$here/otel-config/collector-builder.yaml"
version=v$(sed -n 's/^  version: //p' "$manifest")
name=collector-$(sha256sum <"$manifest" | cut -c1-16)
binary="${XDG_CACHE_HOME:-$HOME/.cache}/foreband/$name/otelcol"
if [ ! -x "$binary" ]; then
  [ "${1:-}" != --if-built ] || exit 1
  command -v go >/dev/null 2>&1 || { echo "the Collector is built with Go, which is not installed" >&2; exit 1; }
  mkdir -p "$(dirname "$binary")"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cp "$manifest" "$work/manifest.yaml"
  cd "$work"
  GOBIN="$work" nice -n 5 go install "go.opentelemetry.io/collector/cmd/builder@$version" >&2
  ./builder --config manifest.yaml --skip-get-modules --skip-compilation >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  # The builder would also fetch what the tests of all modules import; what the program imports is enough.
  cd collector
  go mod init foreband/otelcol 2>/dev/null
  sed -n 's/^  - gomod: \(.*\) \(v.*\)$/-require=\1@\2/p' "$manifest" |
    xargs go mod edit "-require=go.opentelemetry.io/collector/otelcol@$version"
  nice -n 5 go build -mod=mod -trimpath -ldflags "-s -w" -o "$work/otelcol" . >&2
  mv "$work/otelcol" "$binary" # appears whole or not at all
fi
echo "$binary"
