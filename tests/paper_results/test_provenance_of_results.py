"""Every stored run: of enough seeds, of committed code, on the published data."""

import json
import re

import pytest
from paper_runs import ROOT, stored

from common import results
from workflow.experiments import RESULT, find, load
from workflow.run import has_other_parameters

# Checksums of the data as published.
MNIST, FASHION_MNIST, BOSTON_HOUSING = "06b0d1f124c4", "ca3ab2a37f84", "fb857230bbf9"

# Still to be trained anew: some runs of these seeds were collected from checkpoints that named no code.
BEFORE_IDENTITIES = {("06_synthetic_gradients", 0), ("06_synthetic_gradients", 1)}


@pytest.mark.parametrize(
    ("experiment", "seeds", "checksum"),
    [
        ("01_baseline_sgd", 5, MNIST),
        ("02_noisy_gradients", 5, MNIST),
        ("03_optimizers_from_scratch", 10, BOSTON_HOUSING),
        ("04_evolution_strategies", 5, MNIST),
        ("05_low_rank_hessian", 5, MNIST),
        ("06_synthetic_gradients", 5, MNIST),
        ("07_evolution_on_weights", 5, MNIST),
    ],
)
def test_every_run_is_from_clean_code_on_the_published_data(experiment, seeds, checksum):
    frame = stored(experiment)
    assert frame["seed"].nunique() >= seeds
    assert_clean_code_on(frame, checksum)
    assert_same_code_for_all_seeds(frame)


@pytest.mark.parametrize(
    ("variant", "seeds", "checksum"),
    [("mnist_mlp", 10, MNIST), ("fashion_mnist_mlp", 5, FASHION_MNIST), ("mnist_convnet", 5, MNIST)],
)
def test_every_run_of_the_comparison_too(variant, seeds, checksum):
    path = ROOT / find("paper", "08_comparison", variant).path(RESULT)
    if not path.exists():
        pytest.skip("this result is still to be made")
    frame = results.read(path)
    assert frame.loc[frame["group"] != "trial", "seed"].nunique() == seeds
    assert_clean_code_on(frame, checksum)
    assert_same_code_for_all_seeds(frame)


def assert_clean_code_on(frame, checksum):
    # The artificial saddle is a function: its walks, and they alone, have no published data.
    saddle = frame["dataset"] == "saddle"
    for provenance in frame.attrs["provenance"]:
        assert provenance["dirty"] is False
        assert re.fullmatch("[0-9a-f]{40}", provenance["commit"])
        of_a_function = saddle.any() and provenance["data_checksum"] == ""
        assert of_a_function or provenance["data_checksum"].startswith(checksum)
    assert frame.loc[~saddle, "data_checksum"].str.startswith(checksum).all()


def assert_same_code_for_all_seeds(frame):
    """Seeds of a run may be of several commits, as they were added later, if its code had not changed in between."""
    last = results.last_rows(frame)
    before = last[last["identity"].isna()]
    assert set(zip(before["experiment"], before["seed"], strict=True)) <= BEFORE_IDENTITIES
    runs = last.dropna(subset="identity").groupby(["group", "run"])["identity"]
    codes = runs.agg(lambda identities: {json.loads(identity)["code"] for identity in identities})
    assert codes[codes.map(len) != 1].to_dict() == {}


def test_no_stored_result_would_be_made_again():
    """`make paper` runs what is not stored yet: parameters that were renamed since must be so in the files, too."""
    jobs = [job for name, experiment in load()["paper"].items() for job in experiment.jobs("paper", name)]
    assert jobs
    assert not [str(job) for job in jobs if has_other_parameters(job)]
