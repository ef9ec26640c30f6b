from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from grafana_datasource.app import Settings, create_app
from grafana_datasource.feedback import FeedbackDoor
from tests.grafana.scene import CPU, KEYS, Scene
from tests.grafana.strict import error_of

ADMIN, READ = "a" * 20, "r" * 20


class Owner:
    """Takes whatever is said."""

    def __init__(self) -> None:
        self.said: list[Said] = []

    def give(self, said: Said) -> Feedback:
        self.said.append(said)
        return Feedback("f", 5, said.answer, said.episode_id, 0, 1, 1.2, 2, said.by, 1.0, 1.4)

    def take_back(self, feedback_id: str, by: str) -> Feedback:
        return Feedback(feedback_id, 5, Answer.EXPECTED, "e", 0, 1, 1.2, 2, "", 1.0, 1.4, 3, by)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def asking(scene: Scene, owner: Owner) -> FlaskClient:
    app = create_app(
        Settings(
            partial(open_reader, scene.directory),
            clock=ManualClock(scene.now),
            may_read=lambda token: token in {ADMIN, READ},
            may_answer=lambda token: token == ADMIN,
            feedback=FeedbackDoor(owner.give, owner.take_back),
        )
    )
    return app.test_client()


def post(client: FlaskClient, path: str, body: Any, token: str = ADMIN) -> Any:
    return client.post(f"/api/v1/{path}", json=body, headers={"Authorization": f"Bearer {token}"})


def test_an_answer_is_handed_to_whoever_owns_the_series(asking: FlaskClient, owner: Owner) -> None:
    answer = post(asking, "episodes/e/feedback", {"answer": "expected", "by": "alice"})
    assert (answer.status_code, answer.json["factor_after"]) == (201, 1.4)
    assert owner.said == [Said(Answer.EXPECTED, "alice", episode_id="e")]


def test_a_miss_names_a_series_and_a_range(asking: FlaskClient, owner: Owner) -> None:
    body = {"answer": "missed", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}
    assert post(asking, f"series/{CPU.stable_id}/feedback", body).status_code == 201
    (said,) = owner.said
    assert said.series == KEYS.index(CPU)
    assert said.end_unix_nano - said.start_unix_nano == 3600 * 10**9


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("episodes/e/feedback", {"answer": "missed"}, "answer should be"),
        ("episodes/e/feedback", {"answer": "maybe"}, "answer should be"),
        ("episodes/e/feedback", {"answer": "expected", "who": "x"}, "some of"),
        ("episodes/e/feedback", {"answer": "expected", "by": "x" * 201}, "200"),
        ("episodes/e/feedback", ["expected"], "JSON object"),
        (f"series/{CPU.stable_id}/feedback", {"answer": "missed", "from": "5", "to": "4"}, "before"),
        (f"series/{CPU.stable_id}/feedback", {"answer": "missed"}, "from"),
    ],
)
def test_what_cannot_be_meant_is_refused(asking: FlaskClient, owner: Owner, path: str, body: Any, part: str) -> None:
    assert part in error_of(post(asking, path, body), 400)
    assert owner.said == []


def test_a_form_of_another_page_is_not_taken(asking: FlaskClient, owner: Owner) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "text/plain"}
    refused = asking.post("/api/v1/episodes/e/feedback", data='{"answer": "expected"}', headers=headers)
    assert "application/json" in error_of(refused, 400)
    assert owner.said == []


def test_who_may_read_may_not_answer(asking: FlaskClient, owner: Owner) -> None:
    assert "admin" in error_of(post(asking, "episodes/e/feedback", {"answer": "expected"}, READ), 403)
    error_of(post(asking, "feedback/f/undo", {}, "nobody"), 401)
    assert owner.said == []
    assert asking.get("/api/v1/feedback", headers={"Authorization": f"Bearer {READ}"}).json == []


def test_a_process_that_only_reads_says_where_to_answer(client: FlaskClient) -> None:
    refused = client.post("/api/v1/episodes/e/feedback", json={"answer": "expected"})
    assert "foreband run" in error_of(refused, 409)
