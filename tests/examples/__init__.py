"""Tests of the example loads."""
