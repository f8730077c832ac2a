"""Evolution strategy that perturbs one layer's weights at a time; the network is evaluated, never differentiated.

Let F_i(w) be the fitness on example i, and let e perturb only the weights w_l of layer l. Antithetic pairs of members
w ± σ e_ik, k = 1 ... M_l, each see one example i. They estimate the gradient of the smoothed fitness layer by layer
(arXiv 1703.03864, section 2.1, whose members perturb all weights at once; arXiv 1712.06564, whose members see data of
their own):

    ĝ_l = -Σ_i a_i (1/M_l) Σ_k (F_ik⁺ - F_ik⁻)/(2σ) ê_ik + λ w_l

It points uphill on the loss, so that optimizers subtract. Three deviations from these sources make it learn much from
few evaluations:

- One layer at a time. The other layers' perturbations add no noise to this layer. Its input is computed once for all
  its members; only the rest of the network runs for each member. Members of the last layers cost little.
- ê is the part of e that the example sees (`visible_perturbations`). The rest of e changes nothing and is noise. With
  `visible=False`, ê is all of e.
- Examples that the network is wrong about teach most. With `keep` below 1, the whole batch runs once, and members see
  that share of it. Examples are drawn in proportion to 1 - exp(-loss), which is the probability of being wrong for
  cross-entropy. The weights a_i keep the estimate unbiased (`importance_sampling`). Otherwise members see all examples,
  and a_i = 1/batch.

A member's name is (run seed, step, layer, chunk, its place in the chunk, sign). Its perturbation can be rebuilt from
the name, the weights and the batch. Workers therefore exchange only one fitness per member; see `update_from`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, RunContext
from common.estimators.evolution import importance_sampling
from common.estimators.evolution.visible_perturbations import VisiblePerturbations
from common.estimators.evolution.weight_evolution import Evaluation, WeightEvolution
from common.estimators.noise.data_partition import require_divisor
from common.tasks.task import Task


class _Examples(NamedTuple):
    """The examples that members see, by chunk: (chunks, chunk, ...) each; `weights` are the a_i."""

    x: tf.Tensor
    y: tf.Tensor
    weights: tf.Tensor


class LayerwiseEvolution(WeightEvolution):
    """Antithetic evolution strategy, one layer at a time, on a sequential network of Dense and Conv2D layers.

    It has no state. Loss and outputs of its estimates are those of the unperturbed network on the whole batch.
    Fitnesses are not shaped. With the loss as the fitness, ĝ is an unbiased estimate of the gradient of each layer's
    smoothed loss. Dropout is off.

    Args:
        pairs: M_l ≥ 1, the number of pairs that see each example: one number per layer with weights, in their order, or
            one number for all layers.
        sigma: σ > 0, the standard deviation of the perturbation of each weight, in the weights' units.
        keep: 0 < q ≤ 1, the share of the batch that members see, drawn by importance; 1: each example once.
        chunk: number of examples whose members run at once; a divisor of the number of kept examples. Each example
            needs memory for about 2 M_l times the widest layer above, in numbers.
        fitness: "loss" (its negative) or "accuracy" (for classification only; members report only right or wrong).
        weight_decay: λ ≥ 0; the gradient of λ‖w‖²/2 is added.
        visible: whether only the part of e that an example sees is kept. Otherwise ê is all of e, which has the same
            mean and more noise: a control.

    Raises:
        ValueError: a value is out of range. `build` raises it for an unsupported layer, for a number of layers other
            than that of `pairs`, and for "accuracy" if the task has none. `estimate` raises it if chunk does not divide
            the number of kept examples.
    """

    def __init__(
        self,
        pairs: Sequence[int] | int,
        sigma: float,
        *,
        keep: float = 1.0,
        chunk: int = 128,
        fitness: str = "loss",
        weight_decay: float = 0.0,
        visible: bool = True,
    ):
        super().__init__(sigma, fitness=fitness, weight_decay=weight_decay, keep=keep)
        counts = [pairs] if isinstance(pairs, int) else list(pairs)
        require(all(count >= 1 for count in counts), "pairs", "≥ 1 each", counts)
        require(chunk >= 1, "chunk", "≥ 1", chunk)
        self.pairs, self.chunk, self.visible = pairs, chunk, visible

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Find the layers to perturb; see the class for the errors raised."""
        super().build(task, run)
        layers = len(self._network.shapes)
        allowed = f"{layers} numbers, one for each layer with weights, or one for all"
        self._pairs = (self.pairs,) * layers if isinstance(self.pairs, int) else tuple(self.pairs)
        require(len(self._pairs) == layers, "pairs", allowed, list(self._pairs))

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Evaluate all members and sum, in one pass; see `GradientEstimator.estimate` for shapes."""
        outputs, examples = self._drawn(x, y, seed)
        sums = self._over_chunks(
            examples, lambda chunk, number: self._chunk_sums(chunk, self._chunk_seed(seed, number))
        )
        return GradientEstimate(self.task.loss(y, outputs), outputs, self._summed(sums))

    def evaluate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Evaluation:
        """Run all members; see `GradientEstimator.estimate` for shapes.

        Fitnesses are a list with one (chunks, 2, chunk, pairs) float32 tensor per layer, for w + σ e and w - σ e.
        """
        outputs, examples = self._drawn(x, y, seed)

        def chunk_fitnesses(chunk: _Examples, number: tf.Tensor) -> list[tf.Tensor]:
            return [fitnesses for fitnesses, _ in self._members(chunk, self._chunk_seed(seed, number))]

        return Evaluation(self._over_chunks(examples, chunk_fitnesses), self.task.loss(y, outputs), outputs)

    def update_from(
        self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, fitnesses: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """Return the gradients that `estimate` returned, bit-identical, without running a member.

        Args:
            x: the batch of the estimate.
            y: its labels or targets.
            seed: (2,) int64, (run seed, global step).
            fitnesses: one (chunks, 2, chunk, pairs) float32 tensor per layer, as `evaluate` returns them.
        """
        _, examples = self._drawn(x, y, seed)

        def chunk_updates(chunk: _Examples, number: tf.Tensor) -> list[tf.Tensor]:
            known = [part[number] for part in fitnesses]
            return self._chunk_sums(chunk, self._chunk_seed(seed, number), known)

        return self._summed(self._over_chunks(examples, chunk_updates))

    def _drawn(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, _Examples]:
        """Run the unperturbed network and draw the examples that members see."""
        kept = self._kept(x.shape[0])
        require_divisor(kept, self.chunk, "chunk")
        if self.keep == 1:
            outputs, examples = self.task.predictions(x), (x, y, tf.fill([kept], 1.0 / kept))
        else:
            own_seed = tf.random.fold_in(self._own_seed(seed), len(self._pairs))
            outputs, *examples = importance_sampling.draw_where_wrong(self.task, x, y, kept, own_seed)
        parts = [tf.reshape(part, [-1, self.chunk, *part.shape[1:]]) for part in examples]
        return outputs, _Examples(*parts)

    def _over_chunks(self, examples: _Examples, function) -> list[tf.Tensor]:
        """Map over the chunks one after another, to save memory; results get a first axis of length chunks."""

        def of_chunk(number: tf.Tensor) -> list[tf.Tensor]:
            return function(_Examples(*(part[number] for part in examples)), number)

        types = [tf.float32] * len(self._pairs)
        numbers = tf.range(examples.weights.shape[0])
        return tf.map_fn(of_chunk, numbers, parallel_iterations=1, fn_output_signature=types)

    def _members(self, examples: _Examples, seed: tf.Tensor):
        """Yield, layer by layer, one chunk's fitnesses, (2, chunk, pairs), and its visible perturbations."""
        for layer, (visible, outputs, finish) in enumerate(self._layers(examples.x, seed)):
            pairs = self._pairs[layer]
            before, response = outputs[:, None], visible.response(self.sigma)
            both = tf.reshape(tf.stack([before + response, before - response]), [-1, *before.shape[2:]])
            y = tf.tile(tf.repeat(examples.y, pairs, 0), [2] + [1] * (examples.y.shape.rank - 1))
            yield tf.reshape(self._per_example_fitness(y, finish(both)), [2, self.chunk, pairs]), visible

    def _layers(self, x: tf.Tensor, seed: tf.Tensor):
        """Yield, for each layer, its visible perturbations, its outputs and the rest of the network."""
        for layer, (inputs, before, finish) in enumerate(self._network.along(x)):
            shape = self._network.shapes[layer]
            with_bias = tf.concat([inputs, tf.ones_like(inputs[:, :, :1])], 2) if shape.biased else inputs
            own_seed = tf.random.fold_in(seed, layer)
            pairs, whole = self._pairs[layer], not self.visible
            yield VisiblePerturbations(with_bias, pairs, shape.out, own_seed, whole=whole), before, finish

    def _chunk_sums(self, examples: _Examples, seed: tf.Tensor, fitnesses=None) -> list[tf.Tensor]:
        """Return one chunk's contribution to each layer's kernel gradient, with the bias' gradient as last row."""
        if fitnesses is None:
            members = self._members(examples, seed)
        else:
            visible = (seen for seen, _, _ in self._layers(examples.x, seed))
            members = zip(fitnesses, visible, strict=True)
        sums = []
        for (plus_minus, seen), pairs in zip(members, self._pairs, strict=True):
            scale = examples.weights[:, None] / (2.0 * self.sigma * pairs)
            sums.append(seen.weighted_sum(scale * (plus_minus[1] - plus_minus[0])))
        return sums

    def _summed(self, sums: list[tf.Tensor]) -> list[tf.Tensor]:
        totals = [tf.reduce_sum(layer, 0) for layer in sums]
        shapes = self._network.shapes
        parts = [
            [total[: shape.fan_in], total[shape.fan_in]] if shape.biased else [total]
            for total, shape in zip(totals, shapes, strict=True)
        ]
        return self._gradients(parts)

    def _chunk_seed(self, seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return tf.random.fold_in(tf.random.fold_in(self._own_seed(seed), len(self._pairs) + 1), number)

    def evaluations_per_step(self, batch: int) -> int:
        """Return how many times an estimate on `batch_size` examples evaluates a member on one example.

        Each evaluation runs only the part of the network from the member's layer on.
        """
        return 2 * self._kept(batch) * sum(self._pairs)

    def cost(self, batch_size: int) -> float:
        """Return the cost from multiply-accumulates; a gradient has three products for each product of a forward pass.

        Let c_l be the multiply-accumulates of layer l for one example. The visible perturbation takes v_l (the Gram
        matrix and its Cholesky factor; 0 for whole perturbations). The visible part of a pair takes s_l. Bringing a
        layer's sum into the kernel's shape takes p_l (a triangular solve and a product with the input; 0 likewise).
        With q the share that is kept, the cost per example is

            (Σ c_l + q Σ_l (c_l + v_l + M_l (2 s_l + 2 Σ_{i>l} c_i) + p_l)) / (3 Σ c_l)

        s_l counts twice: for a pair's responses, and for the sum weighted by fitnesses. Activations, losses and random
        numbers are not counted.
        """
        shapes, positions = self._network.shapes, self._network.positions
        layers = [often * shape.fan_in * shape.out for shape, often in zip(shapes, positions, strict=True)]
        members = 0.0
        for layer, (shape, often) in enumerate(zip(shapes, positions, strict=True)):
            rows = shape.fan_in + shape.biased
            seen, weighted, once = _products_of_perturbations(often, rows, shape.out, whole=not self.visible)
            members += layers[layer] + once + self._pairs[layer] * (seen + weighted + 2 * sum(layers[layer + 1 :]))
        return batch_size * (sum(layers) + self.keep * members) / (3.0 * sum(layers))


def _products_of_perturbations(positions: int, rows: int, out: int, *, whole: bool) -> tuple[float, float, float]:
    """Count a layer's multiply-accumulates for a response and a weighted sum, and once for each of the two.

    See `VisiblePerturbations`. If an example sees everything, there is no factor, and the weighted sum is the kernel's.
    """
    whole = whole or positions >= rows
    drawn = (rows if whole else positions) * out
    if whole:
        return positions * drawn, drawn, 0.0
    factor = positions**2 * rows + positions**3 / 6
    back = positions**2 * out / 2 + positions * rows * out
    return positions * drawn, drawn, factor + back
