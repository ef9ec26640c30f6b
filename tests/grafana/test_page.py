"""The built-in page in a real browser."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys

from collector_processor.clock import HOUR, ManualClock
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from grafana_datasource.app import Settings, create_app, serve
from grafana_datasource.feedback import FeedbackDoor
from tests.grafana.browser import Browser
from tests.grafana.hostile import HOSTILE, write_hostile
from tests.grafana.scene import CALLS, DURATION, ERRORS, GAPPY, INCIDENT_ID, NOW, SILENT, TRACE, WARMING, Scene

pytestmark = pytest.mark.server

MS = NOW // 10**6


def views(episode: str) -> dict[str, str]:
    return {
        "fleet": "",
        "series": f"?series={DURATION.stable_id}&range=24h&band=0.95",
        "services": "?view=services",
        "service": "?service=checkout",
        "incidents": "?view=incidents",
        "incident": f"?incident={INCIDENT_ID}",
        "episodes": "?view=episodes",
        "episode": f"?episode={episode}",
        "models": "?view=models",
        "nothing": f"?series={'0' * 16}",
    }


@pytest.fixture(scope="module")
def said() -> list[Said]:
    return []


@pytest.fixture(scope="module")
def page(scene: Scene, said: list[Said]) -> Iterator[str]:
    def give(each: Said) -> Feedback:
        said.append(each)
        return Feedback("f", 1, each.answer, each.episode_id, 0, 1, 1.2, scene.now, each.by, 1.0, 1.4)

    door = FeedbackDoor(give, lambda name, by: give(Said(Answer.EXPECTED, by, episode_id=name)))
    settings = Settings(partial(open_reader, scene.directory), clock=ManualClock(scene.now), feedback=door)
    server = serve(create_app(settings), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}/"
    server.stop()


@pytest.fixture(scope="module")
def episode(scene: Scene) -> str:
    """Return the id of the long episode of DURATION, twenty hours ago."""
    reader = open_reader(scene.directory)
    series = scene.keys.index(DURATION)
    found = [each for each in reader.episodes(scene.now - 24 * HOUR, scene.now) if each.series == series]
    reader.close()
    return max(found, key=lambda each: each.last_unix_nano - each.start_unix_nano).episode_id


@pytest.fixture(autouse=True)
def no_complaints(browser: Browser) -> Iterator[None]:
    """No test may leave an error in the console: a broken script, or something that the policy blocks."""
    yield
    assert [text for text in browser.complaints() if "404 (NOT FOUND)" not in text] == []


def test_the_fleet_shows_states_the_worst_activity_and_every_series(browser: Browser, page: str) -> None:
    browser.open(page)
    assert browser.driver.title == "Fleet · Foreband"
    assert "1 warning" in browser.text(".tiles")
    assert "GET /cart requests/s" in browser.text(".worst-item")
    assert browser.count(".worst-item .course .line") == 1
    assert browser.count(".activity .heat") == 3
    assert browser.count(".rows li") == 10
    browser.click(".tile[href*=degraded]")
    browser.shown("state=degraded")
    assert browser.until(lambda: browser.count(".rows li") == 1)
    assert GAPPY.stable_id in str(browser.find(".rows a").get_attribute("href"))


def test_a_filter_keeps_its_place_in_the_address_and_the_focus(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.find("[data-param=q]").send_keys("cart error")
    browser.shown("q=cart+error")
    assert browser.until(lambda: browser.count(".rows li") == 1)
    assert browser.driver.switch_to.active_element.get_attribute("data-param") == "q"
    browser.open(browser.driver.current_url)
    assert browser.find("[data-param=q]").get_attribute("value") == "cart error"
    assert browser.count(".rows li") == 1


def test_the_chart_shows_value_bands_anomalies_and_what_lies_ahead(browser: Browser, page: str) -> None:
    browser.open(f"{page}?series={DURATION.stable_id}&range=24h&band=0.95")
    for shape in ("band.alert", "band.ahead", "band.calibrated", "line.value", "line.forecast", "line.forecast.ahead"):
        assert len(str(browser.find(f"#chart .{shape}").get_attribute("d"))) > 200, shape
    assert browser.count("#chart .marks circle") > 10
    assert browser.count("#chart rect.episode") >= 1
    value, ahead = (
        browser.run(f"return document.querySelector('#chart .{name}').getBBox()")
        for name in ("line.value", "line.forecast.ahead")
    )
    assert ahead["x"] >= value["x"] + value["width"] - 2


@pytest.mark.parametrize(
    ("key", "badge", "words"),
    [
        (CALLS, "Below its band", "Prophet is drawn"),
        (WARMING, "Warming", "Less than 24 h of history"),
        (GAPPY, "Degraded", "The last fit failed"),
        (ERRORS, "Active", "The median of the day is drawn"),
    ],
)
def test_a_plain_sentence_says_state_reason_and_forecaster(
    browser: Browser, page: str, key: object, badge: str, words: str
) -> None:
    browser.open(f"{page}?series={key.stable_id}")  # type: ignore[attr-defined]
    assert browser.text("#sentence .badge") == badge
    assert words in browser.text("#sentence")


def test_a_gap_stays_a_gap(browser: Browser, page: str) -> None:
    browser.open(f"{page}?series={GAPPY.stable_id}&range=24h")
    assert str(browser.find("#chart .line.value").get_attribute("d")).count("M") == 2


def test_a_series_is_found_and_opened_with_the_keyboard_alone(browser: Browser, page: str) -> None:
    browser.open(f"{page}?view=models")
    browser.find("body").send_keys("/")
    browser.until(lambda: browser.count("#finder[open] .found"))
    browser.press("error ratio")
    browser.until(lambda: browser.count("#found a") == 1)
    browser.press(Keys.ARROW_DOWN, Keys.ENTER)
    browser.shown(f"series={ERRORS.stable_id}")
    assert browser.count("dialog[open]") == 0
    assert browser.text("h1") == "GET /cart error ratio"
    assert browser.run("return document.activeElement.tagName") == "H1", "whoever hears the page hears where they are"


def test_the_whole_page_can_be_walked_with_the_keyboard(browser: Browser, page: str) -> None:
    browser.open(page)
    assert browser.tab().text == "Skip to the content"
    browser.press(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    assert browser.tab().text == "1 h"
    browser.run("document.querySelector('.rows a').focus()")
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert browser.run("return [...document.querySelectorAll('.rows a')].indexOf(document.activeElement)") == 1
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    browser.press("?")
    assert "find a series" in browser.text("#help")
    browser.press(Keys.ESCAPE)
    assert browser.count("dialog[open]") == 0
    browser.press(Keys.ENTER)
    browser.shown("series=")
    browser.run("document.querySelector('.picture').focus()")
    browser.press(Keys.ARROW_LEFT)
    assert "Value" in browser.text(".tip")
    before = browser.text(".tip")
    browser.press(Keys.ARROW_LEFT)
    assert browser.text(".tip") != before


def test_views_have_addresses_and_back_goes_back(browser: Browser, page: str) -> None:
    browser.open(f"{page}?series={CALLS.stable_id}")
    browser.click("nav[aria-label='Time range'] a[href*='range=1h']")
    browser.shown("range=1h")
    browser.click(".crumbs a[href*=service]")
    browser.shown("service=checkout")
    assert browser.text("h1") == "checkout"
    browser.driver.back()
    browser.shown("range=1h")
    assert browser.find(".segments a[aria-current]").text == "1 h"
    browser.driver.back()
    browser.shown(f"series={CALLS.stable_id}")
    assert browser.until(lambda: browser.find(".segments a[aria-current]").text == "24 h")


def test_a_zoom_is_an_address_too(browser: Browser, page: str) -> None:
    browser.open(f"{page}?series={DURATION.stable_id}&from={MS - 7_200_000}&to={MS - 3_600_000}")
    labels = browser.text("#chart")
    browser.click(".chart-head a")
    browser.until(lambda: "from=" not in browser.driver.current_url and browser.text("#chart") != labels)


def test_what_is_refreshed_stays_the_same_element(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.run("window.kept = document.querySelector('.rows a'); kept.focus(); delete main.dataset.shown")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.shown()
    assert browser.run("return window.kept === document.querySelector('.rows a') && kept === document.activeElement")


def test_services_have_rate_errors_and_duration_that_lead_to_their_series(browser: Browser, page: str) -> None:
    browser.open(f"{page}?view=services")
    row = browser.text("tbody tr")
    assert "checkout" in row
    assert "ms" in row
    browser.click("tbody tr a")
    browser.shown("service=checkout")
    assert "GET /cart" in browser.text("tbody tr")
    browser.click("td.off a")
    browser.shown(f"series={CALLS.stable_id}")


def test_the_map_says_who_calls_whom_and_leads_to_the_services(browser: Browser, page: str) -> None:
    browser.open(f"{page}?view=services")
    places = {
        name: browser.run(
            "return document.querySelector(arguments[0]).getBoundingClientRect().x", f"[data-key$='{name}']"
        )
        for name in ("web", "checkout", "postgres")
    }
    assert places["web"] < places["checkout"] < places["postgres"]
    assert browser.count(".call") == 3
    assert "web calls checkout: 95/s, 10 % failed" in browser.run("return document.querySelector('.call').textContent")
    browser.click("a.node.warning")
    browser.shown("service=checkout")


def test_episodes_can_be_narrowed_and_lead_to_their_evidence(browser: Browser, page: str, episode: str) -> None:
    browser.open(f"{page}?view=episodes")
    every = browser.count(".episodes li")
    assert browser.count(".lane rect:not(.heat-ground)") == every
    browser.click(".segments a[href*='severity=critical']")
    browser.until(lambda: 0 < browser.count(".episodes li") < every)
    browser.click(f"a[href*='{episode}']")
    browser.shown("episode=")
    assert "was expected" in browser.text(".sentence")
    assert TRACE.hex() in browser.text(".traces")
    assert browser.count("section table tbody tr") >= 6
    assert browser.count("#chart rect.episode") == 1


def test_an_episode_is_answered_and_a_missed_one_reported(
    browser: Browser, page: str, episode: str, said: list[Said]
) -> None:
    browser.open(f"{page}?episode={episode}")
    browser.find("[name=by]").send_keys("alice")
    browser.click("[data-answer=false_alarm]")
    browser.until(lambda: "is now" in browser.text(".outcome"))
    assert said[-1] == Said(Answer.FALSE_ALARM, "alice", episode_id=episode)
    browser.open(f"{page}?series={CALLS.stable_id}&from={MS - 7_200_000}&to={MS - 3_600_000}")
    browser.click(".missed summary")
    browser.click(".missed button")
    browser.until(lambda: "is now" in browser.text(".outcome"))
    assert (said[-1].answer, said[-1].by) == (Answer.MISSED, "alice")
    assert (said[-1].start_unix_nano, said[-1].end_unix_nano) == (NOW - 2 * HOUR, NOW - HOUR)


def test_model_quality_is_held_against_what_was_promised(browser: Browser, page: str) -> None:
    browser.open(f"{page}?view=models")
    words = browser.text("#main")
    for text in ("95 % promised", "94.8 %", "38 of 40", "Level shift" if "shift" in words else "Drift", "None yet"):
        assert text in words


def test_light_and_dark_follow_the_system_until_one_is_chosen(browser: Browser, page: str) -> None:
    def ground() -> str:
        return str(browser.find("body").value_of_css_property("background-color"))

    browser.open(page)
    light = ground()
    with browser.scheme("dark"):
        browser.open(page)
        dark = ground()
        assert dark != light
        browser.click("#theme")
        assert ground() == light
        browser.open(page)
        assert ground() == light
        browser.run("localStorage.clear()")


def test_a_series_without_points_and_a_store_without_series_say_what_they_wait_for(
    browser: Browser, page: str, tmp_path: Path
) -> None:
    browser.open(f"{page}?series={SILENT.stable_id}")
    assert browser.text("#notice") == "Waiting for first points of this series."
    open_writer(tmp_path / "store", StoreSettings()).close()
    server = serve(create_app(Settings(partial(open_reader, tmp_path / "store"))), "127.0.0.1", 0, threads=4)
    try:
        for view in ("", "?view=services", "?view=episodes", "?view=models"):
            browser.open(f"http://127.0.0.1:{server.port}/{view}")
            assert browser.text("#main")
        browser.open(f"http://127.0.0.1:{server.port}/")
        assert "Waiting for first points" in browser.text("#empty")
        assert "endpoint: 127.0.0.1:4317" in browser.text("#empty")
    finally:
        browser.driver.get("about:blank")
        server.stop()


def test_a_page_whose_foreband_went_away_says_so_and_keeps_what_it_showed(browser: Browser, scene: Scene) -> None:
    settings = Settings(partial(open_reader, scene.directory), clock=ManualClock(scene.now))
    server = serve(create_app(settings), "127.0.0.1", 0, threads=4)
    browser.open(f"http://127.0.0.1:{server.port}/")
    server.stop()
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(lambda: "does not answer" in browser.text("#trouble"))
    assert browser.count(".rows li") == 10
    browser.driver.get("about:blank")
    assert all("net::ERR_" in text for text in browser.complaints())


def test_a_locked_page_asks_once_for_a_token_and_sends_it(browser: Browser, scene: Scene) -> None:
    settings = Settings(
        partial(open_reader, scene.directory),
        clock=ManualClock(scene.now),
        may_read=lambda token: token == "sesame",
    )
    server = serve(create_app(settings), "127.0.0.1", 0)
    try:
        browser.driver.get(f"http://127.0.0.1:{server.port}/?series={CALLS.stable_id}")
        browser.find("#token[open] input").send_keys("sesame", Keys.ENTER)
        browser.shown()
        assert browser.text("h1") == "GET /cart requests/s"
        assert all("401" in text for text in browser.complaints())
    finally:
        browser.driver.get("about:blank")
        server.stop()


def test_nothing_is_wider_than_a_small_phone(browser: Browser, page: str, episode: str) -> None:
    with browser.phone(360):
        for name, address in views(episode).items():
            browser.open(f"{page}{address}")
            assert browser.run("return document.documentElement.scrollWidth") <= 360, name


def test_axe_finds_nothing_on_any_view_in_either_theme(
    browser: Browser, page: str, episode: str, node_modules: Path
) -> None:
    axe = (node_modules / "axe-core" / "axe.min.js").read_text()
    check = (
        "const [only, done] = arguments; const wish = {resultTypes: ['violations'], ...(only && {runOnly: only})};"
        "axe.run(document, wish).then(found =>"
        " done(found.violations.map(v => [v.id, ...v.nodes.map(n => n.target.join(' '))])))"
    )

    def violations(rules: list[str] | None = None) -> Any:
        return browser.driver.execute_async_script(check, rules)

    for name, address in views(episode).items():
        browser.open(f"{page}{address}")
        browser.run(axe)
        assert violations() == [], name
        with browser.scheme("dark"):
            browser.until(lambda: browser.run("return document.documentElement.dataset.theme") == "dark")
            assert violations(["color-contrast"]) == [], (name, "dark")
    for dialog in ("find", "help"):
        browser.click(f"[data-do={dialog}]")
        assert violations() == [], dialog
        browser.press(Keys.ESCAPE)


def test_names_that_mean_harm_do_none(browser: Browser, tmp_path: Path) -> None:
    ids = write_hostile(tmp_path / "store", NOW)
    settings = Settings(partial(open_reader, tmp_path / "store"), clock=ManualClock(NOW))
    server = serve(create_app(settings), "127.0.0.1", 0)
    addresses = ["", "?view=services", "?view=episodes", *(f"?series={each}" for each in ids)]
    try:
        with browser.phone(360):
            for address in (*addresses, *(f"?service={quote(name[:2000])}" for name in HOSTILE)):
                browser.open(f"http://127.0.0.1:{server.port}/{address}")
                assert browser.run("return window.harmed") is None
                assert browser.count("#main script, #main img") == 0
                assert browser.run("return document.documentElement.scrollWidth") <= 360, address
                assert len(browser.text("h1")) < 500
        browser.open(f"http://127.0.0.1:{server.port}/?series={ids[0]}")
        assert "<script>window.harmed=1</script>" in browser.text("h1")
    finally:
        browser.driver.get("about:blank")
        server.stop()
