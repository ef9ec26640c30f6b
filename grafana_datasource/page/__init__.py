"""The built-in page: bands, anomalies and episodes without a Grafana."""
