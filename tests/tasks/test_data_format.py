"""Every layer that has a data format states it: whatever the user's Keras takes for the default, channels are last."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from common.estimators import bench
from common.estimators.decoupled import gradient_predictors, local_losses
from common.tasks import networks

ROOT = Path(__file__).resolve().parents[2]
EVALUATE = """
import numpy as np
import common, keras
keras.config.set_image_data_format("channels_first")  # as keras.json says, and a library that is imported later may
from common.tasks.networks import build
for name in ("mnist_convnet", "lenet5", "tiny_convnet"):
    print(name, build(name, (28, 28, 1), 4, seed=0)(np.ones((2, 28, 28, 1), np.float32)).shape)
"""


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def _stated(network):
    return [layer.data_format for layer in network._flatten_layers() if hasattr(layer, "data_format")]


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("standard", [False, True], ids=["ours", "Keras'"])
@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_networks_have_their_channels_last(name, standard):
    hidden = {"hidden": (3,)} if name in networks.OF_HIDDEN_LAYERS else {}
    network = networks.build(name, (28, 28, 1), 4, seed=0, standard_layers=standard, **hidden)
    assert set(_stated(network)) == {"channels_last"}
    assert network.output_shape == (None, 4)


@pytest.mark.usefixtures("channels_first")
def test_what_estimators_build_has_too():
    assert set(_stated(bench.small_task(0).network)) == {"channels_last"}
    head = local_losses._head((6, 6, 2), 4, "linear", 0)
    predictor = keras.Sequential([keras.Input((6, 6, 2)), *gradient_predictors._body(True, 2, 1, 3, 0)])
    for network in (head, predictor):
        assert set(_stated(network)) == {"channels_last"}
    assert (head.output_shape, predictor.output_shape) == ((None, 4), (None, 6, 6, 2))


def test_networks_run_where_the_users_file_says_channels_first(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:3] == [f"{name} (2, 4)" for name in ("mnist_convnet", "lenet5", "tiny_convnet")], (
        done.stderr
    )
