"""A run comes out bit-identical whatever its user has set for Keras, TensorFlow, NumPy, pandas and Python."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRAIN = """
import sys
if len(sys.argv) > 1:
    import warnings
    import numpy as np, pandas as pd
    np.seterr(all="raise")
    np.set_printoptions(precision=1, legacy="1.13")
    pd.set_option("display.precision", 1, "display.max_columns", 1, "display.width", 20)
from common.data import load
from common.estimators import Backpropagation
from common.experiments.run import Run, train_all
from common.optimizers import Adam
from common.tasks.networks import Network
import hashlib, keras, numpy as np
run = Run("a run, σ", Backpropagation(), Adam(0.01), epochs=1, batch_size=256)
frame, trained = train_all([run], load("digits"), network=Network("tiny_convnet"), seeds=[0], experiment="e")
weights = trained[run.name, 0].network.get_weights()
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
fitted = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0).history["loss"]
print(frame["digest"].iloc[0], hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest(), len(fitted))
print(frame["run"].iloc[0], float(frame["test_metric"].iloc[-1]), weights[0].dtype)
"""
LIBRARIES = """{
  "backend": "torch", "floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first"
}"""


def test_a_run_comes_out_the_same_under_everybodys_settings(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "keras.json").write_text(LIBRARIES)
    settings = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "jax",
        "KERAS_MAX_EPOCHS": "1",
        "TF_USE_LEGACY_KERAS": "1",
        "PYTHONHASHSEED": "7",
        "PYTHONOPTIMIZE": "2",
        "PYTHONIOENCODING": "ascii",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TZ": "Pacific/Kiritimati",
        "COLUMNS": "20",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "MPLBACKEND": "no backend",
        "PYTHONWARNINGS": "error",
    }
    code = "import sys, os; os.umask({}); sys.argv[1:] = {}; exec(open('train.py', encoding='utf-8').read())"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"PYTHONPATH": str(ROOT)}
    pipes = {"cwd": tmp_path, "capture_output": True, "text": True}
    plain = subprocess.run([sys.executable, "-c", code.format(0o022, [])], check=False, env=environment, **pipes)
    own = subprocess.run(
        [sys.executable, "-c", code.format(0o077, ["own"])], check=False, env=environment | settings, **pipes
    )
    assert plain.returncode == own.returncode == 0, plain.stderr + own.stderr
    assert own.stdout.splitlines()[0] == plain.stdout.splitlines()[0]
    assert own.stdout.splitlines()[1] == plain.stdout.splitlines()[1].replace("σ", r"\u03c3")
    assert plain.stdout.splitlines()[0].endswith(" 2")
    assert "float32" in own.stdout
    assert not any(word in plain.stderr + own.stderr for word in ("absl", "GPU", "cuda"))
