"""Bring the past of another store into a running Foreband, over its front door."""
