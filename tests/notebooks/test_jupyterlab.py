"""Run All in a real JupyterLab: skipped where Chromium, its driver or Selenium is missing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from run_all import first_cells, later_cells, with_epochs

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed: pip install selenium")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
    pytest.mark.skipif(DRIVER is None, reason="Chromium's driver is not installed (Debian: chromium-driver)"),
]

OPTIONS = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
OPTIONS += " disable-component-update disable-sync disable-dev-shm-usage no-proxy-server window-size=1200,900"
PANEL = "const app = window.jupyterapp, panel = app && app.shell.currentWidget;"
SESSION = "const kernel = panel && panel.sessionContext && panel.sessionContext.session?.kernel;"
READY = PANEL + SESSION + "return Boolean(kernel && panel.context.isReady && kernel.status === 'idle');"
QUIET = (
    PANEL
    + SESSION
    + """
return kernel.status === 'idle' && !panel.content.widgets.some(cell => cell.node.textContent.includes('[*]'));
"""
)
SET_SOURCE = PANEL + "panel.content.widgets[0].model.sharedModel.setSource(arguments[0]);"
RUN_ALL = PANEL + "app.commands.execute('notebook:run-all-cells');"
ERRORS = (
    PANEL
    + """
return panel.content.widgets.map(cell => cell.model.outputs.toJSON().filter(out => out.output_type === 'error')
  .map(out => ({name: out.ename, sentence: out.evalue, lines: out.traceback.length})));
"""
)


LIMIT = 200  # seconds: only ends a wait for what will never come


def _wait(condition, what):
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < end, f"no {what} after {LIMIT} s"
        time.sleep(0.1)
    return value


@pytest.fixture
def server(tmp_path):
    """A JupyterLab of its own, on loopback, that keeps all it writes in a temporary folder."""
    repository = Path(__file__).resolve().parents[2]
    environment = os.environ | {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": str(repository)}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(tmp_path / name.lower())
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += [f"--ServerApp.root_dir={tmp_path}", "--expose-app-in-browser", "--LabApp.news_url=None"]
    with (
        open(tmp_path / "server.log", "w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        yield lambda: next((tmp_path / "jupyter_runtime_dir").glob("jpserver-*.json"), None)
        process.terminate()  # it ends its kernels


@pytest.fixture
def notebook(tmp_path, server):
    """The browser with the notebook open in it, and the file that its cells write to."""
    saw = tmp_path / "saw"
    cells = [nbformat.v4.new_code_cell(source) for source in (*first_cells(), *later_cells(saw))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "try.ipynb")
    file = _wait(server, "JupyterLab")
    known = _wait(file.read_text, "address of JupyterLab")
    address = json.loads(known)
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in [*OPTIONS.split(), f"user-data-dir={tmp_path / 'chromium'}"]:
        options.add_argument(f"--{option}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        browser.get(f"{address['url']}lab/tree/try.ipynb?reset&token={address['token']}")
        _wait(lambda: browser.execute_script(READY), "kernel")
        yield browser, saw
    finally:
        browser.quit()


def _run_all(browser, parameters):
    browser.execute_script(SET_SOURCE, parameters)
    browser.execute_script(RUN_ALL)
    quiet_since = None
    end = time.monotonic() + LIMIT
    while quiet_since is None or time.monotonic() - quiet_since < 0.5:
        assert time.monotonic() < end, f"the notebook is still running after {LIMIT} s"
        time.sleep(0.1)
        quiet_since = (quiet_since or time.monotonic()) if browser.execute_script(QUIET) else None
    return browser.execute_script(ERRORS)


def test_a_wrong_parameter_stops_run_all(notebook):
    browser, saw = notebook
    parameters, _ = first_cells()
    sentence = "parameter 'epochs' must be greater than or equal to 1, got 0"
    refused = [[], [{"name": "ParameterError", "sentence": sentence, "lines": 1}], *[[]] * 6]
    for attempt in range(4):  # the first one in a fresh kernel
        assert _run_all(browser, with_epochs(parameters, 0)) == refused, attempt
        assert not saw.exists(), attempt
        assert _run_all(browser, with_epochs(parameters, 3)) == [[]] * 8, attempt
        assert saw.read_text().split() == ["3", "none"] * 3, attempt
        saw.unlink()


def test_a_parameters_cell_that_ends_in_an_error_stops_run_all(notebook):
    browser, saw = notebook
    parameters, _ = first_cells()
    for value, name in {"three": "NameError", "(3": "SyntaxError"}.items():
        assert _run_all(browser, with_epochs(parameters, 3)) == [[]] * 8, value
        saw.unlink()
        first, *others = _run_all(browser, with_epochs(parameters, value))
        assert [error["name"] for error in first] == [name]
        assert others == [[]] * 7
        assert not saw.exists(), value
