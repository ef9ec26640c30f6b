"""Data sources, alert rules and examples, as files and as the description they come from."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from grafana_datasource.provisioning import Site, provisioning_files, write_provisioning
from grafana_datasource.provisioning.alerting import RULES
from grafana_datasource.provisioning.site import SiteError
from grafana_datasource.runbooks import sections
from tests.grafana.provisioned import SITE, load, loaded_dashboards, loaded_rules
from tests.grafana.strict import body_of

SOURCES = load("datasources/foreband.yaml")["datasources"]
RULE_FIELDS = {
    *("uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for"),
    *("keepFiringFor", "annotations", "labels", "isPaused"),
}
"""All that Grafana's file format knows of a rule and that is used here."""


def test_what_is_written_is_what_was_described(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path)): path.read_text() for path in write_provisioning(tmp_path, SITE)}
    assert written == provisioning_files(SITE)


def test_the_base_url_is_the_only_thing_that_changes_with_it() -> None:
    ours = provisioning_files(Site())
    for name, text in provisioning_files(Site("https://foreband.example:9000/")).items():
        assert text.replace("https://foreband.example:9000", Site().url) == ours[name]


def test_browsers_are_sent_elsewhere_than_grafana() -> None:
    page = "http://page.example:8080"
    assert page not in provisioning_files(SITE)["datasources/foreband.yaml"]
    assert all(rule["annotations"]["runbook_url"].startswith(page) for rule in loaded_rules())


@pytest.mark.parametrize(
    "wrong", [{"url": "foreband:8080"}, {"page": "ftp://x"}, {"traces": "zipkin:x"}, {"traces": "tempo:"}]
)
def test_an_address_that_leads_nowhere_is_refused(wrong: dict[str, str]) -> None:
    (text,) = wrong.values()
    with pytest.raises(SiteError, match=text):
        Site(**wrong)  # type: ignore[arg-type]


def test_a_trace_is_shown_where_the_template_says() -> None:
    assert Site(traces="https://jaeger.example/trace/{trace}").trace_link("abc") == "https://jaeger.example/trace/abc"
    assert Site().trace_link("abc") == ""
    explored = Site(traces="tempo:traces").trace_link("${__value.raw}")
    assert explored.startswith("/explore?schemaVersion=1&panes=%7B%22trace%22")
    assert "%22query%22%3A%22${__value.raw}%22" in explored


def test_every_data_source_sends_the_token_as_a_bearer_header() -> None:
    for source in SOURCES:
        assert source["jsonData"]["httpHeaderName1"] == "Authorization"
        assert source["secureJsonData"] == {"httpHeaderValue1": "Bearer $FOREBAND_TOKEN"}


def test_without_a_token_there_is_no_header() -> None:
    assert "httpHeader" not in provisioning_files(Site(token=""))["datasources/foreband.yaml"]


def test_simpods_plugin_is_only_there_where_it_is_asked_for() -> None:
    kinds = {source["type"] for source in load("datasources/foreband.yaml", Site())["datasources"]}
    assert kinds == {"prometheus", "yesoreyeram-infinity-datasource"}
    assert {source["type"] for source in SOURCES} - kinds == {"simpod-json-datasource"}


def test_infinity_may_reach_its_own_host_and_checks_its_health(client: FlaskClient) -> None:
    (infinity,) = [source for source in SOURCES if source["type"] == "yesoreyeram-infinity-datasource"]
    options = infinity["jsonData"]
    assert any(options["customHealthCheckUrl"].startswith(host) for host in options["allowedHosts"])
    assert client.get(options["customHealthCheckUrl"].removeprefix(SITE.url)).status_code == 200


def test_a_rule_has_the_fields_of_grafanas_format_and_states_it_knows() -> None:
    for rule in loaded_rules():
        assert set(rule) == RULE_FIELDS
        assert rule["noDataState"] in {"NoData", "Alerting", "OK", "KeepLast"}
        assert rule["execErrState"] in {"Error", "Alerting", "OK", "KeepLast"}
        assert len(rule["uid"]) <= 40
        assert set(rule["labels"]) == {"severity", "source"}


def test_rules_have_distinct_uids_and_refer_to_their_own_queries() -> None:
    rules = loaded_rules()
    assert len({rule["uid"] for rule in rules}) == len({rule["title"] for rule in rules}) == len(rules)
    for rule in rules:
        refs = [query["refId"] for query in rule["data"]]
        assert rule["condition"] in refs
        assert all(query["model"]["refId"] == query["refId"] for query in rule["data"])
        assert all(query["model"].get("expression", "A") in refs for query in rule["data"])


def test_rules_ask_data_sources_and_show_panels_that_exist() -> None:
    known = {source["uid"] for source in SOURCES} | {"__expr__"}
    panels = {
        (dashboard["uid"], panel["id"])
        for dashboard in loaded_dashboards()
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    }
    for rule in loaded_rules():
        assert {query["datasourceUid"] for query in rule["data"]} <= known
        assert (rule["dashboardUid"], rule["panelId"]) in panels


def test_silence_of_foreband_itself_is_an_alarm() -> None:
    loud = [rule for rule in RULES if rule.no_data == "Alerting"]
    assert [rule.slug for rule in loud] == ["fit-backlog"]
    assert loud[0].error == "Alerting"


def test_rules_for_prometheus_are_grafanas_without_the_one_that_asks_for_rows() -> None:
    (group,) = load("prometheus/foreband.yaml")["groups"]
    of_prometheus = {rule["alert"]: rule for rule in group["rules"]}
    ours = {rule.title: rule for rule in RULES if not rule.is_paused}
    assert set(of_prometheus) == set(ours)
    for title, rule in of_prometheus.items():
        assert " bool " not in rule["expr"]
        assert (rule["for"], rule["keep_firing_for"]) == (ours[title].pending, ours[title].holds)
        assert rule["annotations"]["runbook_url"] == f"{SITE.page}/runbooks/{ours[title].slug}"
    assert [title for title, rule in of_prometheus.items() if "absent(" in rule["expr"]] == ["Fits are overdue"]


def test_every_rule_has_a_runbook_that_is_served(client: FlaskClient) -> None:
    assert set(sections()) == {rule.slug for rule in RULES}
    for rule in loaded_rules():
        answer = client.get(rule["annotations"]["runbook_url"].removeprefix(SITE.page))
        assert answer.status_code == 200
        assert answer.mimetype == "text/plain"
        assert len(answer.get_data(as_text=True).splitlines()) > 3
    assert client.get("/runbooks/nothing").status_code == 404
    assert "## silence" in client.get("/runbooks").get_data(as_text=True)


def test_an_alert_through_infinity_has_one_number_and_names_that_do_not_change(client: FlaskClient) -> None:
    (rule,) = [rule for rule in RULES if "url" in rule.query]
    rows = body_of(client.get(rule.query["url"]))
    kinds = [column["type"] for column in rule.query["columns"]]
    assert sorted(set(kinds)) == ["number", "string"]
    assert kinds.count("number") == 1
    assert {column["selector"] for column in rule.query["columns"]} == set(rows[0])
    assert rule.is_paused


def test_examples_of_notifications_are_not_where_grafana_reads_them() -> None:
    points: Any = load("examples/contact-points.yaml")["contactPoints"]
    (tree,) = load("examples/notification-policies.yaml")["policies"]
    known = {point["name"] for point in points}
    assert {tree["receiver"], *(route["receiver"] for route in tree["routes"])} <= known
    assert "contactPoints" not in load("alerting/foreband.yaml")
