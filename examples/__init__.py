"""Example loads that send real OpenTelemetry data to any OTLP endpoint."""
