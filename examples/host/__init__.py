"""This machine's own CPU, memory, disks and network as OpenTelemetry system metrics."""
