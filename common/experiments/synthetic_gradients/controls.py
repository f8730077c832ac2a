"""Controls of 06_synthetic_gradients: other sources of a module's gradient, and backpropagation in the same setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.estimators import Backpropagation, LocalLosses, SyntheticGradients
from common.experiments.run import Run
from common.tasks.networks import Network

if TYPE_CHECKING:
    from common.experiments.synthetic_gradients.parameters import SyntheticGradients as Parameters

MIXING = 0.5  # λ of the run with mixed targets


def controls(plan: Sequence[Run], p: Parameters, dni: Mapping[str, Any], predictors: Mapping[str, Any]) -> list[Run]:
    """Return the controls of fully connected networks, in the group "control".

    They are backpropagation with the batches of DNI; predictors of labels alone, local heads and mixed targets; and
    backpropagation whose modules update as rarely as those with synthetic gradients.

    Args:
        plan: the runs of the notebook.
        p: its parameters.
        dni: changes of a run to the batch size, epochs and optimizer of DNI.
        predictors: settings of linear predictors with labels, whose optimizer the heads get, too.
    """
    by_name = {run.name: run for run in plan}
    exact = [by_name[f"{count} layers, backprop"] for count in p.layers]
    runs = [run.but(f"{run.name}, batches of DNI", **dni) for run in exact]
    if p.control_layers:
        network = Network("normalised_mlp", [p.units] * (p.control_layers - 1), precision=p.precision)
        named = {
            "labels alone": SyntheticGradients(activations=False, **predictors),
            "local heads": LocalLosses(Backpropagation(), optimizer=predictors["optimizer"]),
            f"λ = {MIXING:g}": SyntheticGradients(mixing=MIXING, **predictors),
        }
        start = f"{p.control_layers} layers"
        runs += [exact[0].but(f"{start}, {name}", estimator=each, network=network) for name, each in named.items()]
    for probability in p.update_probabilities:
        name = f"updating with p = {probability:g}"
        rare = SyntheticGradients(mixing=1.0, update_probability=probability, **predictors)
        runs.append(by_name[name].but(f"backprop, {name}", estimator=rare))
    return [run.but(run.name, group="control", diagnostics=[]) for run in runs]
