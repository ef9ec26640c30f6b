"""Proof of what the detection is worth: labelled series replayed through the product, and the figures that follow."""
