"""`foreband demo`: everything real, on an empty directory, in about a minute and a half."""

from collector_processor.demo.run import FAULT, run_demo

__all__ = ["FAULT", "run_demo"]
