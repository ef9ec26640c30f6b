"""The slow path: which series is due, a pool of processes that fit, and the models that come back."""

from collector_processor.training.schedule import SeriesOverview, TrainingSettings
from collector_processor.training.trainer import Trainer, TrainingStatus

__all__ = ["SeriesOverview", "Trainer", "TrainingSettings", "TrainingStatus"]
