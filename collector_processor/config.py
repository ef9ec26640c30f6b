"""Every setting of Foreband, its default and its limits: this file is the reference.

Order of precedence: `--set section.key=value`, then environment `FOREBAND_SECTION__KEY`, then the YAML file, then
the defaults below. A wrong key or value is a ConfigError that names file, line and the nearest valid name; nothing is
clamped in silence. `OTEL_*` variables are read by the OpenTelemetry SDK itself.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, ValidationError

from collector_processor.errors import ConfigError
from collector_processor.yaml_source import Path_, YamlSource, read_yaml

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration(value: Any) -> Any:
    """Read `90s`, `15m`, `1.5h`, `14d`; anything but such a text (or a timedelta) is refused."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("should be a duration with a unit, such as 30s, 15m, 1h or 14d")
    return timedelta(seconds=float(found.group(1)) * _DURATION_UNITS[found.group(2)])


def parse_size(value: Any) -> Any:
    """Read `16MiB`; a bare number is bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("should be a size with a unit, such as 512KiB, 16MiB or 1GiB")
    return int(found.group(1)) * _SIZE_UNITS[found.group(2)]


def parse_listen(value: Any) -> Any:
    """Check `host:port`; port 0 lets the system choose."""
    host, separator, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("should be host:port, such as 127.0.0.1:4317")
    return value


def _text_of_duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{int(seconds // _DURATION_UNITS[unit])}{unit}"
    return f"{int(seconds * 1000)}ms"


def _text_of_size(value: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}"
    return f"{value}B"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(_text_of_duration)]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(_text_of_size)]
Listen = Annotated[str, BeforeValidator(parse_listen)]


class Section(BaseModel):
    """A block of settings: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogConfig(Section):
    """How Foreband writes its own log, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is worth a line")
    format: Literal["auto", "plain", "json"] = Field("auto", description="auto: plain on a terminal, JSON elsewhere")


class ReceiverConfig(Section):
    """The OTLP doors. Defaults keep one hostile or broken sender from harming the others."""

    listen: Listen = Field("127.0.0.1:4317", description="address of the OTLP gRPC receiver")
    http_listen: Listen = Field("127.0.0.1:4318", description="address of the OTLP/HTTP receiver")
    max_message: Annotated[Size, Field(ge=64 << 10, le=64 << 20)] = Field(
        16 << 20, description="largest inflated request, JSON 4MiB at most; a Collector's 8,192 spans are 4.6 MB"
    )
    max_in_flight: int = Field(8, ge=1, le=1024, description="requests worked on at once; more are told to retry")
    drain: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=5))] = Field(
        timedelta(seconds=10), description="how long running requests may finish after SIGTERM"
    )


class SeriesConfig(Section):
    """Which series exist and how spans and logs become series."""

    limit: int = Field(100_000, ge=1, le=5_000_000, description="active series in all; existing ones never suffer")
    span_names_per_service: int = Field(200, ge=1, le=100_000, description="past it spans count as `other`")
    span_name_templates: bool = Field(
        True, description="ids, numbers, dates and SQL literals in span names become placeholders"
    )
    window: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=60), description="spans and logs are counted in windows of this length"
    )
    grace: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=10))] = Field(
        timedelta(seconds=15), description="how long a window waits for late spans"
    )


class StoreConfig(Section):
    """Where points, verdicts, models and the outbox live."""

    directory: Path = Field(Path("foreband-data"), description="created 0700; one Foreband at a time")
    retention: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=15), description="how long points and verdicts are kept; older data is not taken either"
    )


class ForecastConfig(Section):
    """How models are fitted, off the fast path."""

    workers: int = Field(1, ge=1, le=256, description="processes that fit; one does thousands of series a minute")
    step: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(days=1))] = Field(
        timedelta(minutes=5), description="models are fitted on means over this step and judge at full rate"
    )
    window: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=28), description="history a fit looks at"
    )
    refit_interval: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=7))] = Field(
        timedelta(hours=1), description="a model is renewed this often, a young series' more often"
    )
    fit_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=30),
        description="a batch of fits that takes longer is killed and tried again in halves",
    )


class DetectConfig(Section):
    """How unusual a point must be."""

    threshold: float = Field(
        1.10, ge=1.0, le=10.0, description="1.05 = more alarms, 1.30 = fewer; edge of the alert band in usual maxima"
    )


class ForwardConfig(Section):
    """Where everything goes again, enriched. Without an endpoint nothing is forwarded."""

    endpoint: str | None = Field(
        None, pattern=r"^https?://[^/\s]+$", description="OTLP gRPC, e.g. http://collector:4317"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with every request; shown masked")
    compression: Literal["gzip", "none"] = Field("gzip", description="of forwarded requests")
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=5))] = Field(
        timedelta(seconds=5), description="of one forwarded request"
    )
    queue: Annotated[Size, Field(ge=1 << 20)] = Field(
        512 << 20, description="bytes of outbox kept; then oldest dropped"
    )


class GrafanaConfig(Section):
    """The HTTP side: Prometheus API, JSON rows, built-in page."""

    listen: Listen = Field("127.0.0.1:8080", description="address of the page and all HTTP APIs")


class SecurityConfig(Section):
    """Loopback only, unless told otherwise."""

    allow_insecure_bind: bool = Field(False, description="listen beyond loopback without TLS and authentication")


class Config(Section):
    """The whole configuration; every field has a default."""

    log: LogConfig = LogConfig()
    receiver: ReceiverConfig = ReceiverConfig()
    series: SeriesConfig = SeriesConfig()
    store: StoreConfig = StoreConfig()
    forecast: ForecastConfig = ForecastConfig()
    detect: DetectConfig = DetectConfig()
    forward: ForwardConfig = ForwardConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    security: SecurityConfig = SecurityConfig()


def load_config(
    path: Path | None = None, *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """Build the configuration from file, environment and `section.key=value` overrides.

    Raises:
        ConfigError: with one line per problem, all problems at once.
    """
    environ = os.environ if environ is None else environ
    source = read_yaml(path, environ) if path else YamlSource("defaults", {})
    origins: dict[Path_, str] = {}
    for keys, text, origin in [*_from_environment(environ), *_from_overrides(overrides)]:
        _put(source.values, keys, text, origin)
        origins[keys] = origin
    try:
        config = Config.model_validate(source.values)
    except ValidationError as error:
        found = sorted(error.errors(), key=lambda problem: source.line(tuple(problem["loc"])))
        raise ConfigError("\n".join(_explain(source, origins, problem) for problem in found)) from None
    _refuse_open_doors(config)
    return config


def describe(config: Config) -> str:
    """Return the effective configuration as YAML, secrets masked."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def is_loopback(listen: str) -> bool:
    """Whether `host:port` is reachable from this machine only."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_environment(environ: Mapping[str, str]) -> list[tuple[Path_, str, str]]:
    found: list[tuple[Path_, str, str]] = []
    for name, text in sorted(environ.items()):
        if name.startswith("FOREBAND_") and "__" in name:
            keys = tuple(part.lower() for part in name.removeprefix("FOREBAND_").split("__"))
            found.append((keys, text, f"environment {name}"))
    return found


def _from_overrides(overrides: Iterable[str]) -> list[tuple[Path_, str, str]]:
    found: list[tuple[Path_, str, str]] = []
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override}: should be section.key=value")
        found.append((tuple(name.strip().split(".")), text, f"--set {name.strip()}"))
    return found


def _put(values: dict[str, Any], keys: Path_, text: str, origin: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(str(key), {})
        if not isinstance(values, dict):
            raise ConfigError(f"{origin}: {key} is not a section")
    try:
        values[str(keys[-1])] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: {text!r} is not a value") from error


def _explain(source: YamlSource, origins: dict[Path_, str], problem: Any) -> str:
    path: Path_ = tuple(problem["loc"])
    where = origins.get(path) or f"{source.name}:{source.line(path)}"
    name = ".".join(map(str, path))
    if problem["type"] == "extra_forbidden":
        return f"{where}: {name}: unknown key{_nearest(path)}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{where}: {name}: {message}, not {_shown(problem['input'])}{_nearest_value(problem)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    return f"{value!s:.80}" if not isinstance(value, str) else f"{value[:80]!r}"


def _nearest(path: Path_) -> str:
    section: Any = Config
    for key in path[:-1]:
        section = section.model_fields[str(key)].annotation if str(key) in section.model_fields else Section
    valid = list(section.model_fields)
    near = difflib.get_close_matches(str(path[-1]), valid, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f" (valid: {', '.join(valid)})"


def _nearest_value(problem: Any) -> str:
    expected = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(problem["input"]), expected, n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _refuse_open_doors(config: Config) -> None:
    if config.security.allow_insecure_bind:
        return
    doors = {
        "receiver.listen": config.receiver.listen,
        "receiver.http_listen": config.receiver.http_listen,
        "grafana.listen": config.grafana.listen,
    }
    for name, listen in doors.items():
        if not is_loopback(listen):
            raise ConfigError(
                f"{name}: {listen} is reachable from other machines without TLS and authentication; "
                "bind 127.0.0.1 or set security.allow_insecure_bind: true"
            )
