"""A sweep's page in a real browser: skipped where Chromium, its driver or Selenium is missing."""

import shutil
import time

import pytest
from fake_sweep_runs import DIRECTION, fake_sweep, grid, large_sweep

from common.plotting.page import write_page
from common.plotting.sweep import sweep_page

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed: pip install selenium")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
    pytest.mark.skipif(DRIVER is None, reason="Chromium's driver is not installed (Debian: chromium-driver)"),
]

OPTIONS = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
OPTIONS += " disable-component-update disable-sync disable-dev-shm-usage no-proxy-server window-size=1500,900"
EVIL = "SGD(0.1)</script><img src=x onerror='window.harmed = true'>&amp;\"'"
OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
LIMIT = 60  # seconds: only ends a wait for what will never come
DRAWN = "return document.querySelectorAll('tbody td button').length"
CELLS = """
const place = [...document.querySelectorAll('table.dataTable thead tr:first-child th')].findIndex(
  header => header.textContent.trim() === arguments[0]);
const rows = [...document.querySelectorAll('table.dataTable tbody tr')];
return rows.map(row => row.children[place].textContent);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in [*OPTIONS.split(), f"user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    started.execute_cdp_cmd("Network.enable", {})
    started.execute_cdp_cmd("Network.emulateNetworkConditions", OFFLINE)
    yield started
    started.quit()


def _open(browser, frame, folder):
    path = write_page(sweep_page(frame, "Sweep <made> up"), folder, "index", frame)
    browser.get(path.as_uri())
    _wait_for(lambda: browser.execute_script(DRAWN))
    return path


def _wait_for(condition):
    """Wait until it holds: the browser draws when it comes to it."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"not so after {LIMIT} s"
        time.sleep(0.05)


@pytest.fixture
def page(browser, tmp_path):
    """The browser with a page of 27 records, two of which diverged."""
    frame = fake_sweep(
        grid(sigma=[0.01, 0.1, 1.0, 2.0], optimizer=["SGD(0.003)", EVIL]),
        diverge=lambda point, seed: point["sigma"] == 2.0 and seed == 1,
    )
    _open(browser, frame.assign(note=EVIL), tmp_path)
    yield browser
    harmless = browser.execute_script("return window.harmed === undefined && !document.querySelector('img')")
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert harmless
    assert messages == []


def _cells(browser, header):
    return browser.execute_script(CELLS, header)


def _header(browser, name):
    headers = browser.find_elements("css selector", "table.dataTable thead tr:first-child th")
    return next(header for header in headers if header.text.strip() == name)


def _filter(browser, name):
    """The field below a header."""
    place = browser.execute_script("return arguments[0].cellIndex", _header(browser, name))
    return browser.find_element("css selector", f"thead tr:nth-child(2) > :nth-child({place + 1}) input")


def _typed(browser, field, text):
    browser.execute_script("arguments[0].value = ''", field)
    field.send_keys(text)
    browser.execute_script("arguments[0].dispatchEvent(new Event('input'))", field)


def test_a_click_on_a_header_sorts_numbers_by_size(page):
    assert len(_cells(page, "test (%)")) == 27
    for direction in (1, -1):
        _header(page, "test (%)").click()
        _wait_for(lambda step=direction: _numbers(page) == sorted(_numbers(page))[::step])
        assert len(_numbers(page)) == 25


def _numbers(page):
    return [float(cell) for cell in _cells(page, "test (%)") if cell]


def test_what_is_typed_filters_all_columns(page):
    _typed(page, page.find_element("css selector", ".dt-search input"), "diverged")
    _wait_for(lambda: _cells(page, "status") == ["diverged"] * 2)
    assert _cells(page, "seed") == ["1"] * 2
    assert _cells(page, "optimizer") == ["SGD(0.003)", EVIL]


def test_each_column_filters_by_itself(page):
    _typed(page, _filter(page, "sigma"), "0.1")
    _wait_for(lambda: _cells(page, "sigma") == ["0.1"] * 6)  # as a number: not 0.01
    _typed(page, _filter(page, "optimizer"), "0.003")
    _wait_for(lambda: _cells(page, "run") == [DIRECTION] * 3)
    assert _cells(page, "sigma") == ["0.1"] * 3


def test_texts_of_the_user_are_shown_as_they_are_and_found(page):
    assert page.find_element("css selector", "h1").text == "Sweep <made> up"
    assert _cells(page, "optimizer").count(EVIL) == 12
    assert _cells(page, "optimizer")[:3] == ["any"] * 3
    _typed(page, page.find_element("css selector", ".dt-search input"), "</script>")
    _wait_for(lambda: len(_cells(page, "optimizer")) == 12)


def test_each_row_has_its_curve(page):
    assert len(page.find_elements("css selector", "tbody svg polyline")) == 25
    assert len(page.find_elements("css selector", "tbody svg circle")) == 2  # those that diverged after one epoch


def test_a_row_unfolds_its_provenance_and_its_command(page):
    _header(page, "test (%)").click()  # the rows are not in the order of the data any more
    _wait_for(lambda: _numbers(page) == sorted(_numbers(page)))
    seed, run = _cells(page, "seed")[2], _cells(page, "run")[2]
    button = page.find_elements("css selector", "tbody td button")[2]
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    terms = [term.text for term in page.find_elements("css selector", "tbody dl dt")]
    texts = [definition.text for definition in page.find_elements("css selector", "tbody dl dd")]
    details = dict(zip(terms, texts, strict=True))
    assert details["commit"] == "0123456789abcdef"
    assert details["begun"] == f"2026-01-01T00:00:0{seed}+00:00"
    assert details["note"] == EVIL
    assert details["command"].startswith("papermill notebooks/00_one_direction.ipynb out.ipynb ")
    assert f"seeds: [{seed}]" in details["command"]
    assert details["estimator"].startswith("Noisy" if run == DIRECTION else "Back")
    button.click()
    assert page.find_elements("css selector", "tbody dl") == []


def test_ten_thousand_records_are_drawn_page_by_page(browser, tmp_path):
    points = grid(sigma=[2.0**i for i in range(-10, 10)], optimizer=[f"SGD({i / 10})" for i in range(1, 11)])
    points = [point | {"batch_size": size} for point in points for size in (8, 16, 32, 64, 128)]
    frame = large_sweep(points, epochs=3)
    path = _open(browser, frame, tmp_path)
    assert path.stat().st_size < 8e6
    assert "of 10,000 entries" in browser.find_element("css selector", ".dt-info").text
    assert len(_cells(browser, "seed")) == 50
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.refresh()
    _wait_for(lambda: browser.execute_script(DRAWN))
    measured = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    # Seconds of a processor, whatever else the machine does meanwhile.
    assert {entry["name"]: entry["value"] for entry in measured}["TaskDuration"] < 5
