"""Everything that happens to telemetry between its arrival over OTLP and its departure.

Rooms import in one direction only; `docs/architecture.md` draws it and import-linter checks it.
"""
