"""Forecasts that are linear in their parameters, and the bands around them."""
