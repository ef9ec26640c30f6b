"""The built-in page in a real browser."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.alert import Alert
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from collector_processor.clock import ManualClock
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from grafana_datasource.app import Settings, create_app, serve
from tests.grafana.scene import CALLS, DURATION, ERRORS, GAPPY, SILENT, TRACE, WARMING, Scene

pytestmark = pytest.mark.server

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,900",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(scene: Scene) -> Iterator[str]:
    settings = Settings(partial(open_reader, scene.directory), clock=ManualClock(scene.now))
    server = serve(create_app(settings), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}/"
    server.stop()


@pytest.fixture(autouse=True)
def no_complaints(browser: webdriver.Chrome) -> Iterator[None]:
    """No test may leave an error in the console: a broken script or a policy that blocks something."""
    yield
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in entries if entry["level"] == "SEVERE"] == []


def run(browser: webdriver.Chrome, script: str) -> Any:
    return browser.execute_script(script)


def traces(browser: webdriver.Chrome) -> dict[str, dict[str, Any]]:
    script = "return document.getElementById('chart').data.map(t => ({name: t.name, x: t.x, y: t.y, fill: t.fill}))"
    return {trace["name"]: trace for trace in run(browser, script)}


def drawn(browser: webdriver.Chrome, text: str) -> None:
    """Wait until the chart shows what `text` names: a series id, a range or both."""
    chart = browser.find_element(By.ID, "chart")
    WebDriverWait(browser, 20, 0.05).until(lambda _: text in (chart.get_attribute("data-drawn") or ""))


def text_of(browser: webdriver.Chrome, element_id: str) -> str:
    return browser.find_element(By.ID, element_id).text


def test_the_chart_shows_value_band_anomalies_and_what_lies_ahead(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}?series={DURATION.stable_id}&range=24h&band=0.95")
    drawn(browser, DURATION.stable_id)
    shown = traces(browser)
    assert shown["Alert band"]["fill"] == "toself"
    assert len(shown["Alert band"]["y"]) > 200
    assert len(shown["Calibrated band"]["y"]) > 200
    assert len(shown["Anomaly"]["x"]) > 10
    assert shown["Expected ahead"]["x"][-1] > shown["Value"]["x"][-1]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#chart .shapelayer-below path, #chart .layer-below path")) >= 1
    assert len(browser.find_elements(By.CSS_SELECTOR, "#chart .scatterlayer .js-fill")) >= 2


def test_a_plain_sentence_says_state_reason_and_forecaster_of_each_series(browser: webdriver.Chrome, page: str) -> None:
    browser.get(page)
    drawn(browser, CALLS.stable_id)
    assert text_of(browser, "badge") == "Below its band"
    assert "Prophet is drawn" in text_of(browser, "sentence")
    browser.find_element(By.CSS_SELECTOR, f"#list a[data-series='{WARMING.stable_id}']").click()
    drawn(browser, WARMING.stable_id)
    assert text_of(browser, "badge") == "Warming"
    assert "less than 24 h of history" in text_of(browser, "sentence").lower()
    browser.find_element(By.CSS_SELECTOR, f"#list a[data-series='{GAPPY.stable_id}']").click()
    drawn(browser, GAPPY.stable_id)
    assert text_of(browser, "badge") == "Degraded"
    assert None in traces(browser)["Value"]["y"], "the gap was closed"


def test_a_series_is_found_and_picked_with_the_keyboard_alone(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}?series={CALLS.stable_id}&range=6h")
    drawn(browser, CALLS.stable_id)
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    browser.switch_to.active_element.send_keys("error ratio")
    WebDriverWait(browser, 20, 0.05).until(lambda b: len(b.find_elements(By.CSS_SELECTOR, "#list a")) == 1)
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    drawn(browser, f"{ERRORS.stable_id} 6h")
    assert f"series={ERRORS.stable_id}&range=6h" in browser.current_url
    current = browser.find_element(By.CSS_SELECTOR, "#list a[aria-current]")
    assert current.get_attribute("data-series") == ERRORS.stable_id


def test_time_ranges_and_episodes_follow_the_buttons(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}?series={CALLS.stable_id}")
    drawn(browser, f"{CALLS.stable_id} 24h")
    browser.find_element(By.CSS_SELECTOR, "#ranges button[value='1h']").click()
    drawn(browser, f"{CALLS.stable_id} 1h")
    assert "open for 35 min" in text_of(browser, "episodes")
    browser.find_element(By.CSS_SELECTOR, "#ranges button[value='24h']").click()
    browser.find_element(By.ID, "of-all").click()
    WebDriverWait(browser, 20, 0.05).until(lambda b: len(b.find_elements(By.CSS_SELECTOR, "#episodes li")) >= 3)
    browser.find_element(By.CSS_SELECTOR, f"#episodes a[data-series='{ERRORS.stable_id}']").click()
    drawn(browser, f"{ERRORS.stable_id} 24h")


def test_light_and_dark_follow_the_system_until_one_is_chosen(browser: webdriver.Chrome, page: str) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(f"{page}?series={CALLS.stable_id}")
        drawn(browser, CALLS.stable_id)
        grounds[scheme] = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert grounds["light"] != grounds["dark"]
    browser.find_element(By.ID, "theme").click()
    body = browser.find_element(By.TAG_NAME, "body")
    assert body.value_of_css_property("background-color") == grounds["light"]
    run(browser, "localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_series_without_points_and_a_store_without_series_say_what_they_wait_for(
    browser: webdriver.Chrome, page: str, tmp_path: Path
) -> None:
    browser.get(f"{page}?series={SILENT.stable_id}")
    drawn(browser, SILENT.stable_id)
    assert text_of(browser, "notice") == "Waiting for first points of this series."
    open_writer(tmp_path / "store", StoreSettings()).close()
    server = serve(create_app(Settings(partial(open_reader, tmp_path / "store"))), "127.0.0.1", 0, threads=4)
    try:
        browser.get(f"http://127.0.0.1:{server.port}/")
        WebDriverWait(browser, 20, 0.05).until(lambda b: b.find_element(By.ID, "empty").is_displayed())
        assert "Waiting for first points" in text_of(browser, "empty")
    finally:
        browser.get("about:blank")
        server.stop()


def test_a_locked_page_asks_once_for_a_token_and_sends_it(browser: webdriver.Chrome, scene: Scene) -> None:
    settings = Settings(
        partial(open_reader, scene.directory),
        clock=ManualClock(scene.now),
        may_read=lambda token: token == "sesame",
    )
    server = serve(create_app(settings), "127.0.0.1", 0)
    try:
        browser.get(f"http://127.0.0.1:{server.port}/?series={CALLS.stable_id}")
        asked = WebDriverWait(browser, 20, 0.05).until(expected_conditions.alert_is_present())
        assert isinstance(asked, Alert)
        assert asked.text == "Foreband asks for a read token."
        asked.send_keys("sesame")
        asked.accept()
        drawn(browser, CALLS.stable_id)
        assert {"401" in entry["message"] for entry in browser.get_log("browser")} <= {True}  # type: ignore[no-untyped-call]
    finally:
        browser.get("about:blank")
        server.stop()


def test_a_phone_gets_the_list_on_demand(browser: webdriver.Chrome, page: str) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(f"{page}?series={CALLS.stable_id}")
    drawn(browser, CALLS.stable_id)
    sidebar = browser.find_element(By.ID, "sidebar")
    assert not sidebar.is_displayed()
    browser.find_element(By.ID, "open-list").click()
    assert sidebar.is_displayed()
    browser.find_element(By.CSS_SELECTOR, f"a[data-series='{ERRORS.stable_id}']").click()
    drawn(browser, ERRORS.stable_id)
    assert not sidebar.is_displayed()
    width = run(browser, "return document.documentElement.scrollWidth")
    assert width <= 390
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_episode_says_why_it_is_one_and_can_be_answered(browser: webdriver.Chrome, page: str) -> None:
    browser.get(f"{page}?series={DURATION.stable_id}&range=24h")
    drawn(browser, DURATION.stable_id)
    browser.find_element(By.CSS_SELECTOR, ".episode-why summary").click()
    wait = WebDriverWait(browser, 20, 0.05)
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".evidence td"))
    words = browser.find_element(By.CSS_SELECTOR, ".episode-why").text
    assert "was expected" in words
    assert TRACE.hex() in words
    assert [b.text for b in browser.find_elements(By.CSS_SELECTOR, ".episode-answers button")] == [
        "Expected",
        "False alarm",
        "Confirmed",
    ]
