"""What the page's modules make of numbers, names and elements, asked in a real browser."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app, serve
from tests.grafana.browser import Browser
from tests.grafana.scene import Scene

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def loaded(browser: Browser, scene: Scene) -> Iterator[Browser]:
    settings = Settings(partial(open_reader, scene.directory), clock=ManualClock(scene.now))
    server = serve(create_app(settings), "127.0.0.1", 0, threads=4)
    browser.open(f"http://127.0.0.1:{server.port}/?view=models")
    yield browser
    browser.driver.get("about:blank")
    server.stop()


def run(loaded: Browser, module: str, script: str, *arguments: Any) -> Any:
    """Run an expression over a module's exports `m` and arguments `a`."""
    imported = f"new URL('{module}.js', document.querySelector('script[type=module]').src)"
    wrapped = (
        "const done = arguments[arguments.length - 1]; const a = [...arguments].slice(0, -1);"
        f"import({imported}).then(m => done({script})).catch(error => done(String(error)))"
    )
    return loaded.driver.execute_async_script(wrapped, *arguments)


def test_numbers_are_written_with_units_as_people_write_them(loaded: Browser) -> None:
    cases = [
        (10_900, "item", "10.9k item"),
        (2_297, "item", "2,297 item"),
        (0.00418, "payment/s", "0.00418 payment/s"),
        (1.5, "/s", "1.5/s"),
        (3.59e9, "By", "3.59 GB"),
        (425_000, "By/s", "425 kB/s"),
        (0.0833, "s", "83.3 ms"),
        (7_300, "s", "2.03 h"),
        (0, "s", "0 s"),
        (-5.5, "Cel", "\u22125.5 °C"),
        (99_999, "1", "100k"),
        (0.00000123, "1", "1.2e\u22126"),
        (None, "s", "\u2013"),
    ]
    script = "a[0].map(([n, unit]) => m.value(n, {unit, statistic: 'value', metric: 'm'}))"
    assert run(loaded, "format", script, [case[:2] for case in cases]) == [case[2] for case in cases]
    share = "m.value(0.0825, {unit: '1', statistic: 'error_ratio', metric: 'm'})"
    assert run(loaded, "format", share) == "8.25 %"


def test_one_of_something_is_not_called_as_several_are(loaded: Browser) -> None:
    assert run(loaded, "format", "[1, 2].map((n) => m.many(n, 'services'))") == ["1 service", "2 services"]


def test_a_series_that_said_nothing_for_a_day_is_idle_unless_that_is_its_anomaly(loaded: Browser) -> None:
    day = 86_400_000
    series = [{"state": "warming", "anomaly": flag, "last_time": 0, "kind": "silence"} for flag in (0, 0, -1)]
    script = "a[0].map((series, i) => m.badge(series, a[1][i]).text)"
    assert run(loaded, "words", script, series, [day, day + 1, day + 1]) == ["Warming", "Idle", "Silent"]


def test_a_name_in_little_room_keeps_its_beginning_and_its_end(loaded: Browser) -> None:
    names = ["cart", "com.example.worker-90", "\U0001f980" * 9]
    assert run(loaded, "format", "a[0].map((name) => m.brief(name, 8))", names) == [
        "cart",
        "com…r-90",
        "\U0001f980" * 3 + "…" + "\U0001f980" * 4,
    ]


def test_a_range_says_its_unit_once(loaded: Browser) -> None:
    cases = [
        (37.1, 61.6, "span/s", "37.1 to 61.6 span/s"),
        (2_297, 10_900, "item", "2,297 to 10.9k item"),
        (0, 0.242, "s", "0 to 242 ms"),
        (0.9, 1.2, "s", "900 ms to 1.2 s"),
    ]
    script = "a[0].map(([low, high, unit]) => m.range(low, high, {unit, statistic: 'value', metric: 'm'}))"
    assert run(loaded, "format", script, [case[:3] for case in cases]) == [case[3] for case in cases]


def test_names_show_what_cannot_be_seen_and_end_somewhere(loaded: Browser) -> None:
    shown = run(loaded, "format", "m.name(a[0])", "a\u0000b\nc\u202ed")
    assert shown == "a\u2400b\u240ac\ufffdd"
    assert len(run(loaded, "format", "m.name(a[0])", "x" * 10_000)) == 401


def test_ticks_are_round_and_few(loaded: Browser) -> None:
    assert run(loaded, "scale", "m.numberTicks(0, 0.31, 5)") == pytest.approx([0, 0.1, 0.2, 0.3])
    assert run(loaded, "scale", "m.numberTicks(7, 7, 5)") == [7]
    hours = run(loaded, "scale", "m.timeTicks(1.789e12, 1.789e12 + 86400000, 8)")
    assert hours["step"] == 3 * 3_600_000
    assert len(hours["ticks"]) == 8
    assert {tick % hours["step"] for tick in hours["ticks"]} == {hours["ticks"][0] % hours["step"]}


def test_elements_with_a_key_stay_themselves_wherever_they_move(loaded: Browser) -> None:
    script = """(() => {
      const row = (key, text) => m.h("li", { "data-key": key }, text);
      const list = m.h("ul", {}, row("a", "1"), row("b", "2"), row("c", "3"));
      const [a, b, c] = list.children;
      m.patch(list, row("c", "3"), row("x", "new"), row("a", "one"));
      return [list.textContent, list.children[0] === c, list.children[2] === a, b.isConnected];
    })()"""
    assert run(loaded, "dom", script) == ["3newone", True, True, False]


def test_what_a_person_opened_or_typed_survives_a_refresh(loaded: Browser) -> None:
    script = """(() => {
      const details = (text) => m.h("details", {}, m.h("summary", {}, text));
      const make = (text) => m.h("div", {}, details(text), m.h("input", { value: text }));
      const shown = make("old");
      document.body.append(shown);
      shown.querySelector("details").open = true;
      shown.querySelector("input").focus();
      shown.querySelector("input").value = "typed";
      m.patch(shown, ...make("new").childNodes);
      const found = [shown.querySelector("details").open, shown.textContent, shown.querySelector("input").value];
      shown.remove();
      return found;
    })()"""
    assert run(loaded, "dom", script) == [True, "new", "typed"]


@pytest.mark.parametrize(
    ("address", "view"),
    [
        ("", "fleet"),
        ("?view=models", "models"),
        ("?view=constructor", "fleet"),
        ("?series=1&range=__proto__", "series"),
        ("?service=__proto__", "service"),
        ("?view=episodes&service=shop", "episodes"),
    ],
)
def test_an_address_names_a_view_whatever_is_in_it(loaded: Browser, address: str, view: str) -> None:
    script = "(history.replaceState(null, '', './' + a[0]), m.current())"
    found = run(loaded, "route", script, address)
    assert (found["view"], found["range"]) == (view, "24h")


def test_services_stand_right_of_their_callers_even_where_calls_go_round(loaded: Browser) -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "b"), ("a", "c"), ("x", "c"), ("d", "d")]
    script = """(() => {
      const edges = a[1].map(([source, target]) => ({ source, target }));
      const laid = m.layers(a[0], edges);
      return a[0].map((id) => [id, laid.places.get(id)]).map(([id, place]) => [id, place.layer, place.row]);
    })()"""
    places = {name: (layer, row) for name, layer, row in run(loaded, "layers", script, list("abcdx"), edges)}
    assert places["a"][0] < places["b"][0] < places["c"][0]
    assert places["x"][0] < places["c"][0]
    assert len(set(places.values())) == len(places)


@pytest.mark.parametrize(
    ("kind", "word", "words"),
    [
        ("deviation", "Above", "3 s at its peak, where 1 to 2 s was expected"),
        ("level_shift", "Level shift", "3 s at its peak, where 1 to 2 s was expected"),
        ("drift", "Drift", "It rises"),
        ("never heard_of", "Never heard of", "It rises"),
    ],
)
def test_an_episode_of_any_kind_has_words(loaded: Browser, kind: str, word: str, words: str) -> None:
    numbers = {"actual": 3, "lower": 1, "upper": 2, "direction": 1, "unit": "s", "statistic": "p50", "metric": "m"}
    episode = {"kind": kind, "explanation": "it rises", **numbers}
    assert run(loaded, "words", "[m.kindWord(a[0]), m.seen(a[0])]", episode) == [word, words]
