"""OTLP columns to series: rates, resets, quantiles, RED."""
