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
from types import NoneType
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from collector_processor.config.forward import ForwardConfig
from collector_processor.config.policy import PolicyConfig, contradictions
from collector_processor.config.sections import Duration, Listen, Section, Size
from collector_processor.config.security import SecurityConfig
from collector_processor.config.yaml_source import Path_, YamlSource, read_yaml
from collector_processor.errors import ConfigError


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
    max_in_flight: int = Field(
        64, ge=1, le=1024, description="requests worked on at once, both doors together; more are told to retry"
    )
    drain: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=5))] = Field(
        timedelta(seconds=10), description="how long running requests may finish after SIGTERM"
    )


class MemoryConfig(Section):
    """How much memory this process may hold; fit processes are beside it."""

    limit: Annotated[Size, Field(ge=256 << 20)] = Field(
        2 << 30, description="at 80 % telemetry is told to come again, before that caches, fits and new series give way"
    )


class SeriesConfig(Section):
    """Which series exist and how spans and logs become series."""

    limit: int = Field(100_000, ge=1, le=5_000_000, description="active series in all; existing ones never suffer")
    idle: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=1), description="a series silent for this long frees its place; it goes on when it reports again"
    )
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
    reserve: Size = Field(
        256 << 20, ge=0, le=1 << 50, description="free disk at which nothing more is taken, only read; 0 for none"
    )
    accept_loss: bool = Field(default=False, description="start a store that has lost acknowledged data")
    reserve_share: float = Field(0.05, ge=0.0, le=0.9, description="the same as a share of the disk; the larger holds")


class ForecastConfig(Section):
    """How models are fitted, off the fast path."""

    workers: int = Field(1, ge=1, le=256, description="processes that fit; one does thousands of series a minute")
    max_cpu: float = Field(
        0.5, gt=0.0, le=256.0, description="share of one core that fits may use over minutes; who waits is shown"
    )
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
        1.25, ge=1.0, le=10.0, description="1.15 = more alarms, 1.45 = fewer; edge of the alert band in usual maxima"
    )


class GrafanaConfig(Section):
    """The HTTP side: Prometheus API, JSON rows, built-in page."""

    listen: Listen = Field("127.0.0.1:8080", description="address of the page and all HTTP APIs")


class Config(Section):
    """The whole configuration; every field has a default."""

    log: LogConfig = LogConfig()
    receiver: ReceiverConfig = ReceiverConfig()
    memory: MemoryConfig = MemoryConfig()
    series: SeriesConfig = SeriesConfig()
    store: StoreConfig = StoreConfig()
    forecast: ForecastConfig = ForecastConfig()
    detect: DetectConfig = DetectConfig()
    forward: ForwardConfig = ForwardConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    security: SecurityConfig = SecurityConfig()
    policies: tuple[PolicyConfig, ...] = ()


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
    problems = [
        f"{source.name}:{source.line(path)}: {_name(path)}: {message}"
        for path, message in contradictions(config.policies, config.forecast.step)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    _check_security(config)
    return config


def describe(config: Config) -> str:
    """Return the effective configuration as YAML, secrets masked."""
    shown = config.model_dump(mode="json", exclude={"policies"})
    shown["policies"] = [
        policy.model_dump(mode="json", exclude_unset=True, by_alias=True) for policy in config.policies
    ]
    return yaml.safe_dump(shown, sort_keys=False)


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
    name = _name(path)
    if problem["type"] == "extra_forbidden":
        return f"{where}: {name}: unknown key{_nearest(path)}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if path[:2] in _SECRETS:
        return f"{where}: {name}: {message}, not what is there"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        return f"{where}: {name}: {message}"  # about a block as a whole
    return f"{where}: {name}: {message}, not {_shown(problem['input'])}{_nearest_value(problem)}"


def _name(path: Path_) -> str:
    return ".".join(map(str, path))


_SECRETS = {("forward", "headers"), ("security", "tokens")}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    return f"{value!s:.80}" if not isinstance(value, str) else f"{value[:80]!r}"


def _nearest(path: Path_) -> str:
    valid = [field.alias or name for name, field in _section_at(path[:-1]).model_fields.items()]
    near = difflib.get_close_matches(str(path[-1]), valid, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f" (valid: {', '.join(valid)})"


def _section_at(path: Path_) -> type[BaseModel]:
    """Return the section that a path leads to, through lists and what may be left out."""
    section: Any = Config
    for key in path:
        fields = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else {}
        section = fields[key].annotation if key in fields else section
        for inner in get_args(section):
            section = inner if inner not in {NoneType, Ellipsis} else section
    return section if isinstance(section, type) and issubclass(section, BaseModel) else Section


def _nearest_value(problem: Any) -> str:
    expected = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(problem["input"]), expected, n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check_security(config: Config) -> None:
    """Refuse a door that is open to other machines, and TLS of which a part is missing."""
    config.security.check_complete()
    doors = {
        "receiver.listen": config.receiver.listen,
        "receiver.http_listen": config.receiver.http_listen,
        "grafana.listen": config.grafana.listen,
    }
    for name, listen in doors.items():
        if not (config.security.allows_other_machines or is_loopback(listen)):
            raise ConfigError(
                f"{name}: {listen} is reachable from other machines without TLS and authentication; bind 127.0.0.1, "
                "or set security.tls and security.tokens (or tls.client_ca_file), or security.allow_insecure_bind: true"
            )
