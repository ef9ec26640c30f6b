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
        ("log: {level: '${env:NOT_SET}'}", "NOT_SET is not set"),
        ("receiver: {max_message: 99999999999}", "less than or equal to"),
        ("receiver: {listen: 4317}", "should be host:port"),
    ],
)
def test_hostile_and_broken_files_are_refused_with_a_reason(tmp_path: Path, text: str, told: str) -> None:
    assert told in "\n".join(problems(tmp_path, text))


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
