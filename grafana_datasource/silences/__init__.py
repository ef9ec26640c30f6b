"""Silences that people made in an Alertmanager or in Grafana, looked at now and then, and heard as answers."""
