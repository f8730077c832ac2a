"""Evolution strategy that perturbs the weights of one layer at a time: the network is evaluated, never differentiated.

With F_i(w) the fitness on example i and e a perturbation of layer l's weights w_l alone, antithetic pairs of members
w ± σ e_ik, k = 1 ... M_l, each of which sees example i alone, estimate the gradient of the smoothed fitness layer by
layer (arXiv 1703.03864, section 2.1, whose members perturb all weights at once; arXiv 1712.06564, whose members see
data of their own):

    ĝ_l = -Σ_i a_i (1/M_l) Σ_k (F_ik⁺ - F_ik⁻)/(2σ) ê_ik + λ w_l

uphill on the loss, so that optimizers subtract. Three deviations from these sources make it learn much from few
evaluations:

- One layer at a time. What the other layers' perturbations change is no noise to this one, and what enters the layer is
  computed once for all its members: only the rest of the network runs for each. The last layers' members cost little.
- ê is what the example sees of e (`visible_perturbations`): the rest of e changes nothing, and is noise.
- The examples that the network is wrong about teach most. With `keep` below 1, the whole batch is run once, and members
  see that share of it, drawn in proportion to 1 - exp(-loss), for cross-entropy the probability of being wrong, with
  the weights a_i that keep the estimate unbiased (`importance_sampling`). Else all are seen, and a_i = 1/batch.

A member's name is (run seed, step, layer, chunk, its place in the chunk, sign). Whoever has the weights and the batch
can rebuild its perturbation, so that workers exchange a fitness a member and nothing else: `update_from`.
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
from common.randomness import Stream
from common.tasks.task import Task


class _Examples(NamedTuple):
    """What members see, chunk by chunk: (chunks, chunk, ...) each, `weights` the a_i."""

    x: tf.Tensor
    y: tf.Tensor
    weights: tf.Tensor


class LayerwiseEvolution(WeightEvolution):
    """Antithetic evolution strategy, a layer at a time, on a sequential network of Dense and Conv2D layers.

    It has no state. Loss and outputs of its estimates are those of the unperturbed network on the whole batch.
    Fitnesses are not shaped: with the loss as the fitness, ĝ is an unbiased estimate of the gradient of each layer's
    smoothed loss. Dropout is off.

    Args:
        pairs: M_l ≥ 1 for each layer with weights, in their order, or one number for all of them: pairs that each
            example is seen by.
        sigma: σ > 0, standard deviation of the perturbation of each weight, in the weights' units.
        keep: 0 < q ≤ 1, the share of the batch that members see, drawn example by example; 1: each example once.
        chunk: examples whose members run at once; a divisor of those kept. What they compute is held in memory: about
            2 M_l times the rest's widest layer for each of them, in numbers.
        fitness: "loss" (its negative) or "accuracy" (classification only: right or wrong is all that is known).
        weight_decay: λ ≥ 0, the gradient of λ‖w‖²/2 is added.

    Raises:
        ValueError: a value out of range; by `build`, a network whose layers are not known or are not as many as
            `pairs`, or "accuracy" where the task has none; by `estimate`, a chunk that does not divide the examples
            kept.
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
    ):
        super().__init__(sigma, fitness=fitness, weight_decay=weight_decay)
        counts = [pairs] if isinstance(pairs, int) else list(pairs)
        require(all(count >= 1 for count in counts), "pairs", "≥ 1 each", counts)
        require(chunk >= 1, "chunk", "≥ 1", chunk)
        require(0 < keep <= 1, "keep", "> 0 and ≤ 1", keep)
        self.pairs, self.keep, self.chunk = pairs, keep, chunk

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """See what is to be perturbed; see the class for what is refused."""
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

        Fitnesses are a list, for each layer (chunks, 2, chunk, pairs) float32, of w + σ e and w - σ e.
        """
        outputs, examples = self._drawn(x, y, seed)

        def chunk_fitnesses(chunk: _Examples, number: tf.Tensor) -> list[tf.Tensor]:
            return [fitnesses for fitnesses, _ in self._members(chunk, self._chunk_seed(seed, number))]

        return Evaluation(self._over_chunks(examples, chunk_fitnesses), self.task.loss(y, outputs), outputs)

    def update_from(
        self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, fitnesses: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """Return the gradients that `estimate` returned, without running a member, bit-identical.

        Args:
            x: the batch that was estimated on.
            y: its labels or targets.
            seed: (2,) int64, (run seed, global step).
            fitnesses: for each layer (chunks, 2, chunk, pairs) float32, as `evaluate` finds them.
        """
        _, examples = self._drawn(x, y, seed)

        def chunk_updates(chunk: _Examples, number: tf.Tensor) -> list[tf.Tensor]:
            known = [part[number] for part in fitnesses]
            return self._chunk_sums(chunk, self._chunk_seed(seed, number), known)

        return self._summed(self._over_chunks(examples, chunk_updates))

    def _drawn(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, _Examples]:
        """Run the network as it is, and choose what members see."""
        outputs, kept = self.task.predictions(x), self._kept(x.shape[0])
        require_divisor(kept, self.chunk, "chunk")
        if self.keep == 1:
            examples = x, y, tf.fill([kept], 1.0 / kept)
        else:
            wrong = 1.0 - tf.exp(-self.task.per_example_loss(y, outputs))
            own_seed = tf.random.fold_in(self._own_seed(seed), len(self._pairs))
            chosen, weights = importance_sampling.draw(wrong, kept, own_seed)
            examples = tf.gather(x, chosen), tf.gather(y, chosen), weights
        parts = [tf.reshape(part, [-1, self.chunk, *part.shape[1:]]) for part in examples]
        return outputs, _Examples(*parts)

    def _over_chunks(self, examples: _Examples, function) -> list[tf.Tensor]:
        """One chunk after the other, for memory's sake; results get a first axis of length chunks."""

        def of_chunk(number: tf.Tensor) -> list[tf.Tensor]:
            return function(_Examples(*(part[number] for part in examples)), number)

        types = [tf.float32] * len(self._pairs)
        numbers = tf.range(examples.weights.shape[0])
        return tf.map_fn(of_chunk, numbers, parallel_iterations=1, fn_output_signature=types)

    def _members(self, examples: _Examples, seed: tf.Tensor):
        """Yield, layer by layer, one chunk's fitnesses, (2, chunk, pairs), and what its examples saw."""
        for layer, (visible, outputs, finish) in enumerate(self._layers(examples.x, seed)):
            pairs = self._pairs[layer]
            before, response = outputs[:, None], visible.response(self.sigma)
            both = tf.reshape(tf.stack([before + response, before - response]), [-1, *before.shape[2:]])
            y = tf.tile(tf.repeat(examples.y, pairs, 0), [2] + [1] * (examples.y.shape.rank - 1))
            yield tf.reshape(self._per_example_fitness(y, finish(both)), [2, self.chunk, pairs]), visible

    def _layers(self, x: tf.Tensor, seed: tf.Tensor):
        """Yield, for each layer, what is seen of its perturbations, its outputs, and the rest of the network."""
        for layer, (inputs, before, finish) in enumerate(self._network.along(x)):
            shape = self._network.shapes[layer]
            with_bias = tf.concat([inputs, tf.ones_like(inputs[:, :, :1])], 2) if shape.biased else inputs
            own_seed = tf.random.fold_in(seed, layer)
            yield VisiblePerturbations(with_bias, self._pairs[layer], shape.out, own_seed), before, finish

    def _chunk_sums(self, examples: _Examples, seed: tf.Tensor, fitnesses=None) -> list[tf.Tensor]:
        """For each layer, what one chunk adds to the kernel's gradient, and, in a last row, to the bias'."""
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

    def _own_seed(self, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.fold_in(seed, Stream.PERTURBATIONS)

    def _chunk_seed(self, seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return tf.random.fold_in(tf.random.fold_in(self._own_seed(seed), len(self._pairs) + 1), number)

    def evaluations_per_step(self, batch: int) -> int:
        """How many times an estimate on so many examples evaluates a member on one example.

        These are partial runs, each of the network from the member's layer on.
        """
        return 2 * self._kept(batch) * sum(self._pairs)

    def _kept(self, batch: int) -> int:
        return round(self.keep * batch)

    def cost(self, batch_size: int) -> float:
        """From the multiply-accumulates of matrix products; a gradient has three for each of a forward pass.

        For one example, with c_l those of layer l, v_l of finding what is visible there (the Gram matrix and its
        Cholesky factor), s_l of what is seen of a pair, p_l of bringing a layer's sum back into the kernel's shape
        (a triangular solve and a product with what entered), and q the share that is kept:

            (Σ c_l + q Σ_l (c_l + v_l + M_l (2 s_l + 2 Σ_{i>l} c_i) + p_l)) / (3 Σ c_l)

        s_l counts twice: for a pair's responses, and in the sum that fitnesses weigh. Activations, losses and random
        numbers are not counted.
        """
        shapes, positions = self._network.shapes, self._network.positions
        layers = [often * shape.fan_in * shape.out for shape, often in zip(shapes, positions, strict=True)]
        members = 0.0
        for layer, (shape, often) in enumerate(zip(shapes, positions, strict=True)):
            rows = shape.fan_in + shape.biased
            seen, weighted, once = _products_of_perturbations(often, rows, shape.out)
            members += layers[layer] + once + self._pairs[layer] * (seen + weighted + 2 * sum(layers[layer + 1 :]))
        return batch_size * (sum(layers) + self.keep * members) / (3.0 * sum(layers))


def _products_of_perturbations(positions: int, rows: int, out: int) -> tuple[float, float, float]:
    """Count a layer's multiply-accumulates, see `VisiblePerturbations`: a response, a weighted sum, and once each.

    Where an example sees everything there is no factor, and the weighted sum is the kernel's.
    """
    drawn = min(positions, rows) * out
    if positions >= rows:
        return positions * drawn, drawn, 0.0
    factor = positions**2 * rows + positions**3 / 6
    back = positions**2 * out / 2 + positions * rows * out
    return positions * drawn, drawn, factor + back
