import logging
import os
from pathlib import Path

import pytest

from collector_processor.errors import ConfigError
from collector_processor.security import files
from collector_processor.security.tokens import Permission, Scope, Tokens

INGEST, READ, ADMIN = "ingest-" + "i" * 16, "read-" + "r" * 16, "admin-" + "ä" * 16
GIVEN = {Scope.INGEST: [INGEST], Scope.READ: [READ], Scope.ADMIN: [ADMIN]}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write as whoever rotates secrets does: another file in its place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
    return path


def test_without_tokens_everybody_may_do_everything() -> None:
    assert not Tokens({}).is_required
    assert Tokens({}).check(None, Scope.ADMIN) is Permission.GRANTED


@pytest.mark.parametrize(
    ("token", "scope", "permission"),
    [
        (INGEST, Scope.INGEST, Permission.GRANTED),
        (INGEST, Scope.READ, Permission.FORBIDDEN),
        (READ, Scope.READ, Permission.GRANTED),
        (READ, Scope.INGEST, Permission.FORBIDDEN),
        (ADMIN, Scope.INGEST, Permission.GRANTED),
        (ADMIN, Scope.READ, Permission.GRANTED),
        ("another", Scope.READ, Permission.UNAUTHENTICATED),
        ("", Scope.READ, Permission.UNAUTHENTICATED),
        (INGEST[:-1], Scope.INGEST, Permission.UNAUTHENTICATED),
        (INGEST + "x", Scope.INGEST, Permission.UNAUTHENTICATED),
    ],
)
def test_a_token_may_do_what_its_scope_says(token: str, scope: Scope, permission: Permission) -> None:
    assert Tokens(GIVEN).check(f"Bearer {token}", scope) is permission


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", INGEST, f"Basic {INGEST}", f"Bearer x {INGEST}", "Bearer \udcff"]
)
def test_a_header_that_is_no_bearer_token_is_nobody(header: str | None) -> None:
    assert Tokens(GIVEN).check(header, Scope.INGEST) is Permission.UNAUTHENTICATED


def test_the_scheme_is_read_in_either_case() -> None:
    assert Tokens(GIVEN).check(f"bearer  {INGEST} ", Scope.INGEST) is Permission.GRANTED


def test_tokens_are_kept_nowhere() -> None:
    tokens = Tokens(GIVEN)
    assert INGEST not in repr(vars(tokens))


def test_a_file_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files.Reloaded.__init__, "__kwdefaults__", {"look_every": 0.0})
    path = written(tmp_path / "tokens", f"# who may\n\ningest {INGEST}\nread   {READ}\n")
    tokens = Tokens({}, path)
    assert tokens.check(f"Bearer {READ}", Scope.READ) is Permission.GRANTED
    written(path, f"ingest {ADMIN}\n")
    assert tokens.check(f"Bearer {READ}", Scope.READ) is Permission.UNAUTHENTICATED
    assert tokens.check(f"Bearer {ADMIN}", Scope.INGEST) is Permission.GRANTED
    with caplog.at_level(logging.ERROR):
        written(path, "ingest s3cret\n")
        assert tokens.check(f"Bearer {ADMIN}", Scope.INGEST) is Permission.GRANTED
    assert "stays in force" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_swapped_link_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.Reloaded.__init__, "__kwdefaults__", {"look_every": 0.0})
    for name, token in (("a", INGEST), ("b", INGEST[::-1])):
        os.utime(written(tmp_path / name, f"ingest {token}\n"), (0, 0))  # of one size and one time
    link = tmp_path / "tokens"
    link.symlink_to("a")
    tokens = Tokens({}, link)
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(link)
    assert tokens.check(f"Bearer {INGEST}", Scope.INGEST) is Permission.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no token"),
        ("# only a comment\n", "has no token"),
        (f"write {INGEST}\n", ":1: should be"),
        (f"\n{INGEST}\n", ":2: should be"),
        ("ingest short\n", ":1: a token should have 16"),
        ("ingest\n", ":1: a token should have 16"),
    ],
)
def test_a_broken_file_is_refused_without_telling_what_is_in_it(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tokens({}, written(tmp_path / "tokens", text))
    assert told in str(caught.value)
    assert INGEST not in str(caught.value)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=f"mode 0{mode:o}.*chmod go-w"):
        Tokens({}, written(tmp_path / "tokens", f"ingest {INGEST}\n", mode))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: cannot be read"):
        Tokens({}, tmp_path / "nowhere")
