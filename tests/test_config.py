from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.config import Config, describe, is_loopback, load_config
from collector_processor.errors import ConfigError


def problems(tmp_path: Path, text: str, *overrides: str, **environ: str) -> list[str]:
    path = tmp_path / "foreband.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides=overrides, environ=environ)
    return str(caught.value).replace(f"{path}:", "line ").splitlines()


def test_without_a_file_every_setting_has_its_default() -> None:
    assert load_config(environ={}) == Config()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert load_config(path, environ={}) == Config()


def test_a_wrong_key_names_its_line_and_the_nearest_valid_name(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "log: {level: info}\nstore:\n  retenton: 3d\n")
    assert line == "line 3: store.retenton: unknown key (did you mean 'retention'?)"


def test_a_wrong_section_names_the_nearest_valid_one(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "\n\nreciever:\n  listen: 127.0.0.1:1\n")
    assert line == "line 3: reciever: unknown key (did you mean 'receiver'?)"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    lines = problems(tmp_path, "detect:\n  threshold: high\nforecast:\n  workers: 0\n  step: 15\n")
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 4", "line 5"]
    assert "should be a duration with a unit" in lines[2]


def test_a_wrong_word_names_the_nearest_valid_one(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "log: {level: warn}")
    assert "did you mean 'warning'?" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("store: {retention: 1d}\nstore: {retention: 2d}", "key given twice"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "is not allowed"),
        ("log: !!python/name:os.system ''", "is not allowed"),
        ("\tlog: 1", "cannot start any token"),
        ("- 1\n- 2", "must be a map"),
        ("a: " + "[" * 5000 + "]" * 5000, "line 1: nested deeper than 32 levels"),
        ("log: {level: 2026-13-45}", "line 1: not a valid timestamp"),
        ("log: {level: " + "1" * 5000 + "}", "not a valid int"),
        ("log: {level: !!bool perhaps}", "not a valid bool"),
        ("log: {level: !!timestamp never}", "not a valid timestamp"),
        ('store: {directory: "a\\0b"}', "not a valid str"),
        ("store: {retention: 99999999999d}", "a century at most"),
        ("store: {retention: 36526d}", "a century at most"),
        ("log: {level: '${env:NOT_SET}'}", "NOT_SET is not set"),
        ("receiver: {max_message: 99999999999}", "less than or equal to"),
        ("receiver: {listen: 4317}", "should be host:port"),
        ("receiver: {max_message: 0}", "greater than or equal to"),
        ("receiver: {max_message: -1}", "greater than or equal to"),
        ("receiver: {max_in_flight: 0}", "greater than or equal to"),
        ("receiver: {max_in_flight: 99999999999}", "less than or equal to"),
        ("receiver: {http_listen: '127.0.0.1:99999'}", "should be host:port"),
        ("memory: {limit: 0}", "greater than or equal to"),
        ("memory: {limit: 2}", "greater than or equal to"),
        ("memory: {limit: lots}", "should be a size"),
        ("security: {tls: {cert_fle: x}}", "did you mean 'cert_file'"),
        ("security: {tokens: {write: [x]}}", "valid: ingest, read, hook, admin"),
        ("security: {allow_insecure_bind: maybe}", "boolean"),
    ],
)
def test_hostile_and_broken_files_are_refused_with_a_reason(tmp_path: Path, text: str, told: str) -> None:
    assert told in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize("value", ["*s3cret", "[s3cret", "s3cret: a: b", "!!python/name:s3cret x", "s3cret\0"])
def test_a_variable_that_is_not_yaml_is_refused_without_its_value(tmp_path: Path, value: str) -> None:
    (line,) = problems(tmp_path, "log:\n  level: ${env:LEVEL}\n", LEVEL=value)
    assert line == "line 2: not a valid value"


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text("log: {level: error}")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"others may write it .mode 0{mode:o}"):
        load_config(path, environ={})


def test_a_file_over_the_size_limit_is_not_read(tmp_path: Path) -> None:
    assert "larger than" in problems(tmp_path, "#" * (1 << 20) + "\n\n")[0]


def test_a_missing_file_is_said() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Path("nowhere.yaml"), environ={})


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text("store: {retention: 1d}\nforecast: {workers: 2}\nlog: {level: error}\n")
    environ = {"FOREBAND_STORE__RETENTION": "2d", "FOREBAND_FORECAST__WORKERS": "3"}
    config = load_config(path, overrides=["store.retention=3d"], environ=environ)
    assert (config.store.retention, config.forecast.workers, config.log.level) == (timedelta(days=3), 3, "error")


def test_an_environment_variable_is_named_when_its_value_is_wrong(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "", FOREBAND_DETECT__THRESHOLD="0.5")
    assert line.startswith("environment FOREBAND_DETECT__THRESHOLD: detect.threshold: ")


def test_values_can_come_from_the_environment_as_in_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text(
        "forecast: {workers: '${env:WORKERS:-4}'}\nforward: {headers: {authorization: 'Bearer ${env:T}'}}\n"
    )
    config = load_config(path, environ={"T": "s3cret"})
    assert config.forecast.workers == 4
    assert config.forward.headers["authorization"].get_secret_value() == "Bearer s3cret"


def test_secrets_are_masked_when_the_configuration_is_shown() -> None:
    config = load_config(overrides=["forward.headers={authorization: s3cret}"], environ={})
    assert "s3cret" not in describe(config)
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize("listen", ["0.0.0.0:4317", "[::]:4317", "10.1.2.3:4317", "example.org:4317"])
def test_a_door_open_to_other_machines_is_refused_unless_asked_for(listen: str) -> None:
    with pytest.raises(ConfigError, match="allow_insecure_bind"):
        load_config(overrides=[f"receiver.listen='{listen}'"], environ={})
    opened = load_config(overrides=[f"receiver.listen='{listen}'", "security.allow_insecure_bind=true"], environ={})
    assert opened.receiver.listen == listen


def test_loopback_is_recognised() -> None:
    assert is_loopback("127.0.0.1:1")
    assert is_loopback("[::1]:1")
    assert is_loopback("localhost:1")
    assert not is_loopback("localhost.example.org:1")


def test_what_is_shown_can_be_read_back() -> None:
    config = load_config(environ={})
    assert Config.model_validate(yaml.safe_load(describe(config))) == config


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4)))
def test_any_other_map_is_refused_with_a_config_error_or_taken(values: dict[str, object]) -> None:
    overrides = [f"{key}={yaml.safe_dump(value)}" for key, value in values.items()]
    with suppress(ConfigError):
        load_config(overrides=overrides, environ={})


def test_what_is_wrong_in_a_policy_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    lines = problems(
        tmp_path,
        """policies:
  - match: {metrik: x}
    forecast:
      time_zone: Europe/Berln
      holidays: {country: DX}
      daily_seasonality: often
      events:
        - {name: release, from: 2026-02-01, until: 2026-01-01}
        - {name: trend, dates: [2026-01-01]}
        - {name: a, ical: no/such.ics}
        - {name: b, from: 2026-01-01, rule: FREQ=HOURLY}
        - {name: c}
      seasonalites: []
  - forecast:
      holidays:
        country: DE
        subdivision: BX
  - forecast: {growth: logistic}
""",
    )
    assert [int(line.split(":")[0].removeprefix("line ")) for line in lines] == [
        2,
        4,
        5,
        6,
        8,
        9,
        10,
        11,
        12,
        13,
        17,
        18,
    ]
    for line, told in zip(
        lines,
        [
            "policies.0.match.metrik: unknown key (did you mean 'metric'?)",
            "(did you mean 'Europe/Berlin'?)",
            "should be a country code",
            "should be auto, on, off or an order",
            "until 2026-01-01 comes before from 2026-02-01",
            "a name that Prophet does not use itself",
            "should be a readable iCal file",
            "by days or more",
            "either dates, or from with until or a rule, or ical",
            "(did you mean 'seasonalities'?)",
            "should be a subdivision of DE",
            "growth: logistic and cap belong together",
        ],
        strict=True,
    ):
        assert told in line


@pytest.mark.parametrize(
    "event", ["SUMMARY:x", "DTSTART:garbage", "DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=NEVER", "DTSTART"]
)
def test_an_ical_file_with_an_event_that_cannot_be_is_refused_at_the_start(tmp_path: Path, event: str) -> None:
    file = tmp_path / "broken.ics"
    file.write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\n{event}\nEND:VEVENT\nEND:VCALENDAR\n")
    (line,) = problems(tmp_path, f"policies:\n- forecast:\n    events:\n    - name: x\n      ical: {file}\n")
    assert line.startswith("line 5: policies.0.forecast.events.0.ical: should be an iCal file")


def test_policies_that_contradict_each_other_are_refused_with_their_lines(tmp_path: Path) -> None:
    lines = problems(
        tmp_path,
        """policies:
  - forecast:
      hourly_seasonality: 8
      seasonalities:
        - {name: quarter, period: 15m, order: 2}
        - {name: release, period: 2w, order: 2}
  - forecast:
      events:
        - {name: release, dates: [2026-01-01]}
  - forecast: {growth: logistic, cap: 5, floor: 1}
  - forecast:
      seasonality_mode: multiplicative
""",
    )
    told = ["an order of 6, not 8", "an order of 1, not 2", "name of a seasonality", "leave out one of the two"]
    assert [int(line.split(":")[0].removeprefix("line ")) for line in lines] == [3, 5, 8, 12]
    assert all(text in line for text, line in zip(told, lines, strict=True))


def test_policies_are_shown_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text(
        "policies:\n  - match: {service: shop}\n    forecast:\n      daily_seasonality: on\n      seasonalities:\n"
        "        - {name: shift, period: 8h, order: 2}\n      events: [{name: x, from: 2026-01-01, until: 2026-01-02}]"
    )
    config = load_config(path, environ={})
    again = tmp_path / "again.yaml"
    again.write_text(describe(config))
    assert load_config(again, environ={}) == config
    assert yaml.safe_load(describe(config))["policies"] == [
        {
            "match": {"service": "shop"},
            "forecast": {
                "daily_seasonality": "on",
                "seasonalities": [{"name": "shift", "period": "8h", "order": 2}],
                "events": [{"name": "x", "from": "2026-01-01", "until": "2026-01-02"}],
            },
        }
    ]
