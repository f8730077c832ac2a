"""Progress is a widget where JupyterLab has started the kernel, and lines elsewhere."""

import pytest
from tqdm import tqdm
from tqdm.notebook import tqdm as widget

from common.training.bars import progress_bar


@pytest.mark.parametrize(("session", "kind"), [("a.ipynb", widget), (None, tqdm)])
def test_a_widget_in_jupyterlab_only(monkeypatch, session, kind):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if session:
        monkeypatch.setenv("JPY_SESSION_NAME", session)
    with progress_bar("ab", unit="run") as bar:
        assert type(bar) is kind
        assert list(bar) == ["a", "b"]
    with progress_bar(total=3, unit="epoch") as bar:
        assert type(bar) is kind
        bar.update(3)
        assert (bar.n, bar.total) == (3, 3)
