"""PromQL: text to syntax, syntax to vectors, held to what Prometheus answers.

This room knows no store. It asks a `Source` for samples and is told the times to answer for; everything is computed
for all series and all steps at once, as arrays `(series, steps)`.
"""
