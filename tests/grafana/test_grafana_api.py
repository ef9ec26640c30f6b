"""Everything brought into a Grafana over its HTTP API: once, again, and where it is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from grafana_datasource.provisioning import Grafana, Site, bring
from grafana_datasource.provisioning.alerting import RULES
from grafana_datasource.provisioning.api import GrafanaError
from tests.grafana.provisioned import SITE, loaded_rules
from tests.grafana.stand_in import StandIn, grafana

TOKEN = "glsa_sixteen-letters"
WITH_TOKEN = replace(SITE, token="read-sixteen-letters")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with grafana(TOKEN) as running:
        yield running


def test_an_empty_grafana_gets_everything(stand_in: StandIn) -> None:
    told = bring(Grafana(stand_in.url, TOKEN), WITH_TOKEN)
    assert len(stand_in.sources) == 3
    assert len(stand_in.dashboards) == 6
    rules = stand_in.groups["foreband"]["rules"]
    assert {rule["uid"] for rule in rules} == {rule["uid"] for rule in loaded_rules()}
    headers = {source["secureJsonData"]["httpHeaderValue1"] for source in stand_in.sources.values()}
    assert headers == {"Bearer read-sixteen-letters"}
    assert len(told) == 3 + 1 + 6 + 1
    assert not any("renewed" in line for line in told)


def test_the_same_again_changes_no_dashboard(stand_in: StandIn) -> None:
    bring(Grafana(stand_in.url, TOKEN), WITH_TOKEN)
    first = (dict(stand_in.sources), dict(stand_in.dashboards), dict(stand_in.groups))
    stand_in.changes.clear()
    told = bring(Grafana(stand_in.url, TOKEN), WITH_TOKEN)
    assert (stand_in.sources, stand_in.dashboards, stand_in.groups) == first
    assert {change.split()[0] for change in stand_in.changes} == {"PUT"}
    assert sum("kept" in line for line in told) == 7


def test_what_somebody_changed_is_overwritten(stand_in: StandIn) -> None:
    bring(Grafana(stand_in.url, TOKEN), WITH_TOKEN)
    stand_in.dashboards["foreband-fleet"]["dashboard"]["panels"] = []
    stand_in.sources["foreband-prometheus"]["url"] = "http://elsewhere"
    told = bring(Grafana(stand_in.url, TOKEN), WITH_TOKEN)
    assert "renewed dashboard Foreband: fleet" in told
    assert stand_in.dashboards["foreband-fleet"]["dashboard"]["panels"]
    assert stand_in.sources["foreband-prometheus"]["url"] == f"{SITE.url}/prom"


def test_a_refusal_says_what_grafana_said(stand_in: StandIn) -> None:
    with pytest.raises(GrafanaError, match="401: Invalid API key"):
        bring(Grafana(stand_in.url, "wrong"), SITE)
    stand_in.sources["other"] = {"name": "Foreband", "uid": "other"}
    with pytest.raises(GrafanaError, match=r"POST /api/datasources: .* 409: .*same name"):
        bring(Grafana(stand_in.url, TOKEN), SITE)


def test_a_grafana_that_is_not_there_is_said() -> None:
    with grafana(TOKEN) as gone:
        url = gone.url
    with pytest.raises(GrafanaError, match=url):
        bring(Grafana(url, TOKEN), Site())
    with pytest.raises(GrafanaError, match="should begin with"):
        Grafana("localhost:3000", TOKEN)


def test_an_address_of_something_else_is_doubted(stand_in: StandIn) -> None:
    with pytest.raises(GrafanaError, match=r"404: .*is this its address"):
        bring(Grafana(f"{stand_in.url}/elsewhere", TOKEN), SITE)


def test_the_command_brings_it_over_http(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("read-sixteen-letters\n")
    arguments = ["grafana", "provision", "--url", stand_in.url, "--foreband-token-file", str(tmp_path / "token")]
    done = CliRunner().invoke(cli, arguments, env={"GRAFANA_TOKEN": TOKEN}, catch_exceptions=False)
    assert done.exit_code == 0
    assert "created data source Foreband\n" in done.output
    assert f"wrote {len(RULES)} alert rules" in done.output
    source = stand_in.sources["foreband-prometheus"]
    assert source["secureJsonData"] == {"httpHeaderValue1": "Bearer read-sixteen-letters"}


def test_the_command_writes_files(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["grafana", "provision", "--out", str(tmp_path / "out"), "--traces", "jaeger:j"])
    assert done.exit_code == 0
    assert (tmp_path / "out" / "alerting" / "foreband.yaml").exists()
    assert len(list((tmp_path / "out" / "dashboards" / "foreband").iterdir())) == 6


@pytest.mark.parametrize("arguments", [[], ["--url", "http://x"], ["--url", "http://x", "--token", "t", "--out", "o"]])
def test_the_command_wants_one_place_to_bring_it_to(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["grafana", "provision", *arguments], env={"GRAFANA_TOKEN": ""})
    assert done.exit_code == 2
    assert "either --out, or --url with --token" in done.output
