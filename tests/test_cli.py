"""The commands as a person types them."""

import subprocess
import sys
from pathlib import Path

import pytest

from collector_processor.config import load_config
from collector_processor.doctor import Finding, Health, examine
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer


def foreband(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "collector_processor", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environ},
    )


def findings(*overrides: str) -> dict[str, Finding]:
    return {f.subject: f for f in examine(load_config(overrides=overrides, environ={}))}


def test_the_version_is_that_of_the_package() -> None:
    assert foreband("version").stdout == "foreband 0.1.0\n"


def test_a_valid_configuration_is_called_valid(tmp_path: Path) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text("store: {retention: 3d}\n")
    assert foreband("config", "validate", "--config", str(path)).returncode == 0
    assert "retention: 3d" in foreband("config", "show", FOREBAND_CONFIG=str(path)).stdout


@pytest.mark.parametrize("command", [["config", "validate"], ["run"], ["serve"]])
def test_a_wrong_configuration_is_refused_with_one_line_and_code_2(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "foreband.yaml"
    path.write_text("store:\n  retenton: 3d\n")
    done = foreband(*command, "--config", str(path))
    assert done.returncode == 2
    assert done.stderr == f"foreband: {path}:2: store.retenton: unknown key (did you mean 'retention'?)\n"
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["config", "validate"], ["run"]])
def test_files_that_others_may_write_are_refused_with_code_2(tmp_path: Path, command: list[str]) -> None:
    path, tokens = tmp_path / "foreband.yaml", tmp_path / "tokens"
    tokens.write_text("read sixteen-letters-\n")
    path.write_text(f"security: {{tokens_file: {tokens}}}\nstore: {{directory: {tmp_path / 'data'}}}\n")
    for file in (tokens, path):
        file.chmod(0o664)
        done = foreband(*command, "--config", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"foreband: {file}: others may write it (mode 0664); do: chmod go-w {file}\n"
    assert not (tmp_path / "data").exists()


def test_serving_a_directory_without_a_store_says_so(tmp_path: Path) -> None:
    done = foreband("serve", "--set", f"store.directory={tmp_path / 'nothing'}")
    assert done.returncode == 1
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # prophet 1.5 on pandas 3.1
def test_doctor_finds_a_healthy_machine_healthy(tmp_path: Path) -> None:
    doors = ("receiver.listen", "receiver.http_listen", "grafana.listen")
    found = findings(f"store.directory={tmp_path}", *(f"{door}=127.0.0.1:0" for door in doors))
    assert {f.subject for f in found.values() if f.health is Health.PROBLEM} == set()
    assert found["prophet"].text.startswith("a test fit works")


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_doctor_says_what_to_do_about_a_taken_port_and_a_missing_downstream(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as gone:
        listen, endpoint = taken.getsockname()[1], gone.getsockname()[1]
        gone.close()
        found = findings(
            f"store.directory={tmp_path}",
            f"receiver.listen=127.0.0.1:{listen}",
            f"forward.endpoint=http://127.0.0.1:{endpoint}",
        )
    assert found["receiver"].health is Health.WARNING
    assert "choose another address" in found["receiver"].advice
    assert "outbox" in found["forward"].advice


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_doctor_reads_certificates_and_tokens_as_a_start_would(tmp_path: Path) -> None:
    store = f"store.directory={tmp_path}"
    assert findings(store)["security"].text == "plain text, no tokens"
    assert findings(store, "memory.limit=4000GiB")["memory"].health is Health.WARNING
    token = "security.tokens.read=[sixteen-letters-]"
    assert findings(store, token)["security"].text == "plain text, bearer tokens"
    broken = findings(store, "security.tls.cert_file=/nowhere", "security.tls.key_file=/nowhere")["security"]
    assert broken.health is Health.PROBLEM
    assert "/nowhere: cannot be read" in broken.text


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_doctor_sees_a_store_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert findings(f"store.directory={file}")["store"].health is Health.PROBLEM


def test_serve_reads_a_store_that_another_process_wrote(tmp_path: Path) -> None:
    open_writer(tmp_path / "data", StoreSettings()).close()
    settings = [f"--set=store.directory={tmp_path / 'data'}", "--set=grafana.listen=127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "collector_processor", "serve", *settings], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        assert "serving the store" in process.stderr.readline()
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
