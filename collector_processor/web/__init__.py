"""HTTP for both doors, OTLP's and Grafana's: one server, guarded against slow, huge and lying clients."""
