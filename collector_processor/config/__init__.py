"""Every setting of Foreband, and how it comes from a file, the environment and the command line."""

from collector_processor.config.loading import describe, is_loopback, load_config
from collector_processor.config.settings import Config, LogConfig, StoreConfig

__all__ = ["Config", "LogConfig", "StoreConfig", "describe", "is_loopback", "load_config"]
