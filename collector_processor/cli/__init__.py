"""The `foreband` command: one file per group of commands."""

from collector_processor.cli.root import cli, main

__all__ = ["cli", "main"]
