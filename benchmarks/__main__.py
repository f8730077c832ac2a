"""Prints the cost of the loop and of its alternatives; every row is measured in this run."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import Timing, median_ratio, race
from common.results.processor import instructions

MNIST = 60_000
LOOP, FIT, FIT_DEFAULT = "our loop, float32", "Keras fit, tf.data, no XLA", "Keras fit as it comes"
BFLOAT16, PYTORCH = "our loop, mixed_bfloat16", "PyTorch, eager"
PLAIN, NOISY = "exact gradient", "noise on all coordinates"
SKETCH, OVER_THE_AIR = "noise in 1,000 kept dimensions", "16 devices over the air"
INFERENCE, POPULATION, EVOSAX = "its own inference, 65,536 examples", "256 members x 256 samples", "evosax, OpenES"
INFERENCE_CONVNET, OWN_EXAMPLES = "its own inference, 8,192 examples", "4,096 pairs, an example each"
LAYERWISE, EXACT = "a layer at a time, 8,192 examples", "their exact gradient"
BACKPROPAGATION, INDEPENDENT = "backpropagation, lenet5", "200 samples of the logits"
ANTITHETIC, QUADRATURE = "100 pairs of samples", "quadrature on the logits"
TEN_GRADIENTS, FULL, WARM = "ten gradients of 128", "refresh from nothing, rank 40", "warm-started refresh, rank 40"
FACTOR = "Gauss-Newton eigenpairs of 32 examples"
MOMENTUM_EPOCH, NEWTON_EPOCH = "gradient descent with momentum", "saddle-free Newton, default settings"
ONE_TRACE, TRACE_EACH = "five seeds, one trace", "five seeds, a trace each"
EXACT_MLP, SYNTHETIC = "backpropagation, 4×256", "synthetic gradients, cDNI"
ROOT = Path(__file__).resolve().parents[1]

# (candidate, reference, largest ratio): this project's own limits on two cores. Candidates of the second group may be
# slow by a factor of ten. They therefore use fewer images, together with a reference of the same size.
WHOLE_EPOCH = [(LOOP, FIT, 1.0), (LOOP, PYTORCH, None)]
PART_OF_AN_EPOCH = [(LOOP, FIT_DEFAULT, 0.2), (BFLOAT16, LOOP, 0.65)]
NOISY_EPOCH = [(NOISY, PLAIN, 1.05), (SKETCH, PLAIN, None), (OVER_THE_AIR, PLAIN, 1.3)]
WEIGHTS_MLP = [(POPULATION, INFERENCE, 1.0), (POPULATION, EVOSAX, 0.2)]
WEIGHTS_CONVNET = [(OWN_EXAMPLES, INFERENCE_CONVNET, None)]
WEIGHTS_LAYERWISE = [(LAYERWISE, EXACT, None)]
LOGITS_EPOCH = [(INDEPENDENT, BACKPROPAGATION, 1.25), (ANTITHETIC, BACKPROPAGATION, 1.25)]
LOGITS_EPOCH += [(QUADRATURE, BACKPROPAGATION, None)]
NEWTON = [(NEWTON_EPOCH, MOMENTUM_EPOCH, 2.0)]
SEEDS = [(ONE_TRACE, TRACE_EACH, None)]
SYNTHETIC_EPOCH = [(SYNTHETIC, EXACT_MLP, 1.5)]

# (name, command, most seconds, most gigabytes), each in a separate process.
PROCESSES = [
    ("import common.plotting, common.results", ["-c", "import common.plotting, common.results"], 2.0, None),
    ("load MNIST, decoded before", ["-c", "from common.data import load; load('mnist')"], 0.5, None),
    ("one epoch of a whole MNIST-sized run", ["-m", "benchmarks.whole_run"], None, 1.5),
    ("one epoch of saddle-free Newton", ["-m", "benchmarks.newton_epoch"], None, 1.5),
    *(
        (f"notebook {path.stem}", ["-m", "papermill", f"notebooks/{path.name}"], 90.0, None)
        for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    ),
]


def main() -> None:
    """Measure and print; an exceeded limit is printed but is not an error, because timings are not a test."""
    arguments = _arguments()
    print(f"mnist_convnet; {_machine()}")
    for group in arguments.only or GROUPS:
        GROUPS[group](arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="measure these groups and no others")
    parser.add_argument(
        "--examples", type=int, default=MNIST, help="images an epoch, but in the race of slow candidates"
    )
    parser.add_argument("--part", type=int, default=6_400, help="images an epoch in the race of slow candidates")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the warm-up")
    return parser.parse_args()


def _baseline(arguments: argparse.Namespace) -> None:
    from benchmarks import baseline

    makers = {LOOP: baseline.our_loop, FIT: baseline.keras_fit, FIT_DEFAULT: baseline.keras_fit_as_it_comes}
    makers |= {BFLOAT16: baseline.our_loop_bfloat16}
    if baseline.has_pytorch():
        makers[PYTORCH] = baseline.pytorch
    _race(WHOLE_EPOCH, makers, arguments.examples, baseline.BATCH, arguments.rounds)
    _race(PART_OF_AN_EPOCH, makers, arguments.part, baseline.BATCH, arguments.rounds)


def _convnets(arguments: argparse.Namespace) -> None:
    from benchmarks import convnets
    from benchmarks.baseline import BATCH

    for network in convnets.AT_MOST:
        print(f"\n{network}")
        makers = convnets.makers(network)
        if convnets.PYTORCH not in makers:
            print("PyTorch is not installed")
        _race(convnets.comparisons(network), makers, arguments.examples, BATCH, arguments.rounds)


def _noisy(arguments: argparse.Namespace) -> None:
    from benchmarks import noisy

    makers = {PLAIN: noisy.plain, NOISY: noisy.noisy, SKETCH: noisy.noisy_in_a_sketch, OVER_THE_AIR: noisy.over_the_air}
    _race(NOISY_EPOCH, makers, arguments.examples - arguments.examples % noisy.BATCH, noisy.BATCH, arguments.rounds)


def _optimizers(arguments: argparse.Namespace) -> None:
    from benchmarks import optimizers

    candidates, comparisons = {}, []
    for name, makers in optimizers.PAIRS.items():
        names = f"{name}, ours", f"{name}, Keras"
        candidates |= {label: optimizers.steps(make) for label, make in zip(names, makers, strict=True)}
        comparisons.append((*names, optimizers.AT_MOST))
    rounds = arguments.rounds
    _report(f"{optimizers.STEPS} updates of all weights", race(candidates, rounds), comparisons, rounds)
    names = [name for name in optimizers.SECOND_MOMENTS if name != optimizers.ADAM]
    comparisons = [(name, optimizers.ADAM, optimizers.SECOND_MOMENTS_AT_MOST) for name in names]
    title = f"{optimizers.TRAINING_STEPS} training steps, mlp((256, 256, 256)), batches of {optimizers.TRAINING_BATCH}"
    _report(title, race(optimizers.training_steps(), rounds), comparisons, rounds)
    timings = race(optimizers.loops(), rounds)
    _report(f"{optimizers.EPOCHS} full-batch epochs, mlp((4,))", timings, optimizers.LOOPS, rounds)


def _weights(arguments: argparse.Namespace) -> None:
    from benchmarks import evolution_weights as weights

    counts = weights.EVALUATIONS
    candidates = {INFERENCE: weights.inference(weights.mlp(), counts["mlp"]), POPULATION: weights.population()}
    if weights.has_evosax():
        candidates[EVOSAX] = weights.evosax()
    _report_evaluations("mlp 784-128-10", candidates, WEIGHTS_MLP, counts["mlp"], arguments.rounds)
    candidates = {INFERENCE_CONVNET: weights.inference(weights.convnet(), counts["convnet"])}
    candidates[OWN_EXAMPLES] = weights.own_examples()
    _report_evaluations("tiny_convnet", candidates, WEIGHTS_CONVNET, counts["convnet"], arguments.rounds)
    timings = race({LAYERWISE: weights.layer_by_layer(), EXACT: weights.backpropagation()}, arguments.rounds)
    _report("tiny_convnet, one estimate", timings, WEIGHTS_LAYERWISE, arguments.rounds)


def _report_evaluations(title: str, candidates: dict, comparisons: list, evaluations: int, rounds: int) -> None:
    timings = race(candidates, rounds)
    _report(title, timings, comparisons, rounds)
    for name, timing in timings.items():
        print(f"{name:46} {evaluations / timing.median / 1e6:8.3f} million evaluations a second")


def _logits(arguments: argparse.Namespace) -> None:
    from benchmarks import evolution_logits as logits

    makers = {BACKPROPAGATION: logits.backpropagation, INDEPENDENT: logits.independent}
    makers |= {ANTITHETIC: logits.antithetic, QUADRATURE: logits.quadrature}
    _race(LOGITS_EPOCH, makers, arguments.examples, logits.BATCH, arguments.rounds)


def _curvature(arguments: argparse.Namespace) -> None:
    from benchmarks import curvature

    candidates = {TEN_GRADIENTS: curvature.gradients(), FULL: curvature.full_refresh(), WARM: curvature.warm_refresh()}
    candidates[FACTOR] = curvature.factor()
    comparisons = [(FULL, TEN_GRADIENTS, curvature.REFRESH_AT_MOST), (WARM, FULL, 0.5)]
    comparisons.append((FACTOR, TEN_GRADIENTS, curvature.FACTOR_AT_MOST))
    _report("leaky_convnet, rank 40", race(candidates, arguments.rounds), comparisons, arguments.rounds)
    makers = {MOMENTUM_EPOCH: curvature.plain_epoch, NEWTON_EPOCH: curvature.newton_epoch}
    _race(NEWTON, makers, arguments.examples, curvature.BATCH, arguments.rounds)  # the first steps cost the most


def _synthetic(arguments: argparse.Namespace) -> None:
    from benchmarks import synthetic_gradients as synthetic

    makers = {EXACT_MLP: synthetic.backpropagation, SYNTHETIC: synthetic.synthetic}
    _race(SYNTHETIC_EPOCH, makers, arguments.examples, synthetic.BATCH, arguments.rounds)
    print("\ndependent products: longest chain to an update, longest wait of a layer (linear predictors)")
    print(f"{'layers':>8} {'backpropagation':>22} {'synthetic gradients':>22}")
    for layers, exact, decoupled, exact_wait, decoupled_wait in synthetic.chains():
        print(f"{layers:8} {f'{exact}, {exact_wait}':>22} {f'{decoupled}, {decoupled_wait}':>22}")


def _sources(arguments: argparse.Namespace) -> None:
    from benchmarks import sources

    for network in sources.NETWORKS:
        print(f"\n{network}")
        examples = min(arguments.examples, 10 * arguments.part)  # a whole number of batches
        examples -= examples % sources.BATCH
        _race(sources.COMPARISONS, sources.makers(network), examples, sources.BATCH, arguments.rounds)


def _seeds(arguments: argparse.Namespace) -> None:
    from benchmarks import seeds

    dataset = seeds.data()
    candidates = {ONE_TRACE: lambda: seeds.one_trace(dataset), TRACE_EACH: lambda: seeds.a_trace_each(dataset)}
    title = f"{seeds.EXAMPLES:,} images, one epoch"
    _report(title, race(candidates, arguments.rounds), SEEDS, arguments.rounds)


def _processes(arguments: argparse.Namespace) -> None:
    print(f"\n{'process':46} {'seconds':>8} {'peak GB':>8}")
    for what, command, seconds, gigabytes in PROCESSES:
        _process(what, command, seconds, gigabytes, arguments.rounds)


GROUPS = {
    "baseline": _baseline,
    "convnets": _convnets,
    "noisy": _noisy,
    "optimizers": _optimizers,
    "logits": _logits,
    "weights": _weights,
    "curvature": _curvature,
    "synthetic": _synthetic,
    "sources": _sources,
    "seeds": _seeds,
    "processes": _processes,
}


def _race(comparisons: list, makers: dict, examples: int, batch: int, rounds: int) -> None:
    """Time all compared candidates that have a maker, on the same number of images."""
    from benchmarks.baseline import images

    names = dict.fromkeys(name for candidate, reference, _ in comparisons for name in (candidate, reference))
    data = images(examples)
    candidates = {name: makers[name](data) for name in names if name in makers}
    _report(f"one epoch of {examples:,} images, batch {batch}", race(candidates, rounds), comparisons, rounds)


def _report(title: str, timings: dict[str, Timing], comparisons: list, rounds: int) -> None:
    print(f"\n{title:46} {'median s':>8} {'spread s':>8}   of {rounds} rounds")
    for name, timing in timings.items():
        print(f"{name:46} {timing.median:8.2f} {timing.spread:8.2f}")
    for candidate, reference, limit in comparisons:
        if candidate in timings and reference in timings:
            ratio = median_ratio(timings, candidate, reference)
            print(f"{f'{candidate} / {reference}':46} {ratio:8.2f} {_verdict(ratio, limit)}")


def _process(what: str, command: list[str], seconds: float | None, gigabytes: float | None, rounds: int) -> None:
    once = any(name in command for name in ("benchmarks.whole_run", "benchmarks.newton_epoch", "papermill"))
    with tempfile.TemporaryDirectory() as folder:
        if "papermill" in command:
            files = {"result_file": f"{folder}/out.parquet", "store": f"{folder}/store"}  # no earlier runs
            named = [word for name, file in files.items() for word in ("-p", name, file)]
            command = [*command, f"{folder}/out.ipynb", *named, "-k", "python3"]
        measured, failed = [], False
        for _ in range(1 if once else rounds):
            start = time.perf_counter()
            done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=False)
            measured.append(time.perf_counter() - start)
            failed |= done.returncode != 0
    if failed:
        print(f"{what:46} {'failed':>8}")
        return
    # The peak is the largest of all children so far, so the processes are ordered by their memory.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if platform.system() == "Darwin" else 1024) / 1e9
    verdict = _verdict(statistics.median(measured), seconds) if seconds else _verdict(peak, gigabytes)
    # A child's peak includes memory inherited from this process before it starts, so small peaks mean nothing.
    shown = f"{peak:8.2f}" if gigabytes else " " * 8
    print(f"{what:46} {Timing(measured).median:8.2f} {shown} {verdict}")


def _verdict(value: float, limit: float | None) -> str:
    return "" if limit is None else f"  at most {limit:g}: {'holds' if value <= limit else 'DOES NOT HOLD'}"


def _machine() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else f"{os.cpu_count()} CPU cores, {_bfloat16_hardware()}"


def _bfloat16_hardware() -> str:
    """Return the bfloat16 instructions; without them, oneDNN emulates bfloat16 and is far slower than in float32."""
    if not (flags := instructions()):
        return "bfloat16 instructions unknown"
    present = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return f"bfloat16 instructions: {', '.join(present) or 'none'}"


if __name__ == "__main__":
    main()
