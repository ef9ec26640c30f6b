"""Notifications of alerts that Grafana or an Alertmanager sends here: drawn as annotations, and heard as answers."""
