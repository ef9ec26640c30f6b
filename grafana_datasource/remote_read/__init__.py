"""Prometheus' remote read: a Prometheus asks for samples and evaluates its own expressions and rules over them."""
