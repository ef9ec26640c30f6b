"""A real browser over the built-in page, and what a person does with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60

_FLAGS = (
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


class Browser:
    """One browser for many tests."""

    def __init__(self, chromium: str, chromedriver: str, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(chromedriver))
        self.driver.set_script_timeout(PATIENCE)
        self._emulate("light")

    def open(self, address: str) -> None:
        """Open an address and wait until the view it names is shown."""
        self.driver.get(address)
        self.shown()

    def shown(self, text: str = "") -> None:
        """Wait until the view of the address is shown, and the address has `text`."""
        script = "const m = document.getElementById('main'); return m && m.dataset.shown === location.search"
        self.until(lambda: text in self.driver.current_url and self.run(script))

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something holds, and return it."""
        return WebDriverWait(self.driver, PATIENCE, 0.03).until(lambda _: condition())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """Return the first element, as soon as there is one."""
        self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector))
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        """Return how many elements there are."""
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        """Return the text of the first element."""
        return self.find(selector).text

    def click(self, selector: str) -> None:
        """Click the first element, scrolled to where a person could."""
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def tab(self) -> WebElement:
        """Move the focus on, and return what has it."""
        self.press(Keys.TAB)
        return self.driver.switch_to.active_element

    def complaints(self) -> list[str]:
        """Return what the console was told as an error since the last question."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    @contextmanager
    def scheme(self, name: str) -> Iterator[None]:
        """Pretend that the system prefers `light` or `dark`."""
        self._emulate(name)
        try:
            yield
        finally:
            self._emulate("light")

    @contextmanager
    def phone(self, width: int = 360) -> Iterator[None]:
        """Pretend to be a small phone."""
        metrics = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _emulate(self, scheme: str) -> None:
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
