"""What happens to decoded telemetry: the state of all series, the stages that change it, the desk of other threads.

All three are used by one thread; `now` is an argument.
"""

from collector_processor.pipeline.desk import SeriesDesk
from collector_processor.pipeline.fast_path import Pipeline
from collector_processor.pipeline.settings import PipelineSettings
from collector_processor.pipeline.state import PipelineState

__all__ = ["Pipeline", "PipelineSettings", "PipelineState", "SeriesDesk"]
