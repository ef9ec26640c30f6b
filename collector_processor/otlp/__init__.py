"""The wire: OTLP bytes to columns, and columns back to OTLP bytes."""
