"""Nouns only: the values that rooms hand to each other."""
