"""Tables of runs on pages: what they say of seeds that diverged."""

import pandas as pd
import pytest

from common.plotting import markdown


def rows(run, errors):
    """Last rows of one run; an error of None stands for a seed that diverged."""
    return pd.DataFrame(
        {
            "experiment": "mine",
            "method": "m",
            "run": run,
            "seed": range(len(errors)),
            "epoch": 1,
            "status": ["diverged" if error is None else "finished" for error in errors],
            "metric": "accuracy",
            "validation_metric": [float("nan") if error is None else 1 - error / 100 for error in errors],
            "test_metric": [float("nan") if error is None else 1 - error / 100 for error in errors],
            "learning_rate": 0.1,
        }
    )


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([2.0, 3.0, 4.0], "3.00 ± 1.00"),
        ([2.0, None, 4.0], "3.00 ± 1.41, 1 of 3 diverged"),
        ([None, None, None], "diverged"),
    ],
)
def test_a_mean_without_diverged_seeds_says_so(monkeypatch, capsys, errors, shown):
    monkeypatch.setattr(markdown, "stored", lambda _: rows("one", errors))
    markdown.show_runs("any", {"one": "a run"})
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].strip("|").split("|")]
    assert cells == ["a run", "one", shown, shown, "3"]
