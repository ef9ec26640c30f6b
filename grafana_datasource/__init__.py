"""Everything Grafana or a browser asks: reads the store, never writes telemetry."""
