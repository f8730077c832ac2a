import math

import pandas as pd
import pytest
from fake_baseline_runs import fake_run

from common import results
from common.plotting import tables

BY = {"batch_size": "Batch size"}
ACCURACY = {"test_metric": tables.Value("Test accuracy (%)", scale=100, digits=1)}


def with_test(batch, seed, value, **options):
    frame = fake_run("loop", batch, seed, epochs=4, **options)
    return frame.assign(test_metric=frame["test_metric"].mask(frame["test_metric"].notna(), value))


def test_mean_spread_seeds_and_divergence_stand_in_the_table():
    runs = [with_test(64, 0, 0.90), with_test(64, 1, 0.94), with_test(64, 2, 0.1, diverge=3)]
    table = tables.final_table(results.combine([*runs, with_test(128, 0, 0.5)]), BY, ACCURACY)
    assert table.to_dict("records") == [
        {"Batch size": 64, "Test accuracy (%)": "92.0 ± 2.8", "Seeds": 2, "Diverged": 1},
        {"Batch size": 128, "Test accuracy (%)": "50.0", "Seeds": 1, "Diverged": 0},
    ]


def test_setting_whose_runs_all_diverged_says_so():
    table = tables.final_table(with_test(64, 0, 0.9, diverge=3), BY, ACCURACY)
    assert table.iloc[0].tolist() == [64, "diverged", 0, 1]


@pytest.mark.parametrize(
    ("mean", "std", "cell"), [(97.416, 0.123, "97.42 ± 0.12"), (97.416, math.nan, "97.42"), (math.nan, math.nan, "-")]
)
def test_one_seed_has_no_spread(mean, std, cell):
    assert tables.mean_and_spread(mean, std, 2) == cell


def test_latex_is_escaped_and_has_booktabs_rules():
    text = tables.to_latex(pd.DataFrame({"Name": ["a_b"], "Test (%)": ["1.0 ± 0.2"], "Source": ["-"]}))
    assert text.splitlines()[0] == r"\begin{tabular}{lrr}"
    assert r"Name & Test (\%) & Source \\" in text
    assert r"a\_b & 1.0 $\pm$ 0.2 & - \\" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


@pytest.mark.parametrize("missing", [[], ["seed1.parquet"]])
def test_latex_file_tells_its_origin_and_what_is_missing(tmp_path, frame, missing):
    frame.attrs["missing"] = missing
    path = tables.write_latex(pd.DataFrame({"a": [1]}), tmp_path, "table", frame)
    text = path.read_text()
    assert text.startswith("% experiment: 01_baseline_sgd\n% seeds: 0, 1\n% commit: 0123456789abcdef")
    assert ("INCOMPLETE: 1 of 3 result files missing" in text) == bool(missing)


def test_what_pdflatex_cannot_set_as_text_is_set_as_mathematics():
    text = tables.to_latex(pd.DataFrame({"ε": ["σ = 0.1 → 1", "Σ ≥ 2 × η²"]}))
    assert text.isascii()
    assert r"$\sigma$ = 0.1 $\to$ 1" in text
