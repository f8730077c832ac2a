"""Evolution strategy on the weights: the network is evaluated, never differentiated (arXiv 1703.03864, section 2).

F(w) is the fitness to maximise. The gradient of its smoothed version E F(w + σε) is estimated from antithetic pairs of
members w ± σ ε_k, k = 1 ... n:

    ĝ = -(1/n) Σ_k (u_k⁺ - u_k⁻)/(2σ) ε_k + λ w

Here u is the fitness, or a function of it (`shaping`). The estimate points uphill on the loss, so that optimizers
subtract. Perturbations have low rank (see `perturbations`), and all members are evaluated together (see
`perturbed_network`).

A member's name is (run seed, step, k, sign), and its perturbation can be rebuilt from it. Workers therefore exchange
only one fitness per member (arXiv 1703.03864, section 2.1). `update_from` rebuilds the perturbations.

One evaluation of one example teaches little. Let there be D parameters, m examples per pair and N evaluated pairs of
examples; Σ is the covariance of the examples' gradients. In the linear regime, ĝ has a variance of about D (m ‖g‖² + tr
Σ)/N. Small shares are best: as many pairs as examples, so that each pair sees one example of its own (`own_data`).
"""

from __future__ import annotations

import tensorflow as tf

from common.checks import require, require_one_of
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, RunContext
from common.estimators.evolution import importance_sampling
from common.estimators.evolution.perturbations import TABLES, Directions, DirectionSource
from common.estimators.evolution.weight_evolution import Evaluation, WeightEvolution
from common.estimators.noise.data_partition import require_divisor
from common.tasks.task import Task

CHUNK_BYTES = 8_000_000  # what a chunk's largest layer takes, measured: it stays within the processor's cache


class ParameterEvolution(WeightEvolution):
    """Antithetic evolution strategy on all weights of a sequential network of Dense and Conv2D layers.

    It has no state. Loss and outputs of its estimates are means over the members that saw an example. Those of the
    unperturbed network would cost one more evaluation. Dropout is off.

    Args:
        population: number of members, even and ≥ 2: two per pair.
        sigma: σ > 0, the standard deviation of the perturbation of each weight, in the weights' units.
        rank: the rank of each kernel's perturbation, from 1 to the smallest side of any kernel. None: full rank, which
            needs memory for a population of networks.
        fitness: "loss" (its negative) or "accuracy" (for classification only; members report only right or wrong).
        shaping: the function u of the fitness. "none": the fitness itself. If that is the loss, ĝ is an unbiased
            estimate of the smoothed loss' gradient. "standardised": the fitness minus its mean over all members,
            divided by its standard deviation. "ranks": the rank of the fitness over all members, scaled to -1/2 ...
            1/2; ties share their mean rank (arXiv 1703.03864, section 2.1).
        own_data: whether each pair sees its own share of the batch (arXiv 1712.06564). Otherwise every member sees the
            whole batch.
        weight_decay: λ ≥ 0; the gradient of λ‖w‖²/2 is added.
        directions: entries of the perturbation's factors: "gaussian", or "signs" (±1). Both have the same covariance.
            Signs have constant length, which reduces the variance of the estimate.
        keep: 0 < q ≤ 1, the share of the batch that members see. Below 1, the network without perturbations runs on the
            whole batch, and examples are drawn as in `LayerwiseEvolution`. This needs own_data and no shaping. A pair's
            fitness is then a weighted mean, and loss and outputs are those of the unperturbed network.
        chunk: number of pairs evaluated at once, a divisor of population / 2; None: as many as fit CHUNK_BYTES. It
            changes results only by rounding.

    Raises:
        ValueError: a value is out of range. `build` raises it for an unsupported layer, a rank that is too high, or
            "accuracy" if the task has none. `estimate` raises it if the pairs do not divide the batch.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = ParameterEvolution(1_000, 0.01, rank=None, shaping="none", own_data=False)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().astype(float).round(1).tolist()  # of (1, -0.375), by 500 pairs
        [1.0, -0.4]
    """

    def __init__(
        self,
        population: int,
        sigma: float,
        *,
        rank: int | None = 1,
        fitness: str = "loss",
        shaping: str = "ranks",
        own_data: bool = True,
        weight_decay: float = 0.0,
        directions: str = "gaussian",
        keep: float = 1.0,
        chunk: int | None = None,
    ):
        super().__init__(sigma, fitness=fitness, weight_decay=weight_decay, keep=keep)
        require(rank is None or rank >= 1, "rank", "≥ 1, or None for full rank", rank)
        require_one_of("directions", directions, TABLES)
        require(population >= 2 and population % 2 == 0, "population", "even and ≥ 2 (pairs)", population)
        pairs = population // 2
        allowed = f"a divisor of the {pairs:,} pairs, or None"
        require(chunk is None or (chunk >= 1 and pairs % chunk == 0), "chunk", allowed, chunk)
        require_one_of("shaping", shaping, SHAPINGS)
        needed = "1 unless own_data is True and shaping is 'none'"
        require(keep == 1 or (own_data and shaping == "none"), "keep", needed, keep)
        self.population, self.rank, self.shaping, self.own_data = population, rank, shaping, own_data
        self.directions, self.chunk = directions, chunk

    @property
    def pairs(self) -> int:
        """Number of directions per step, each with both signs."""
        return self.population // 2

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Find the layers to perturb and create the table of directions; see the class for the errors raised."""
        super().build(task, run)
        self._source = DirectionSource(self.directions, self.rank)
        highest = min(min(shape.fan_in, shape.out) for shape in self._network.shapes)
        allowed = f"at most {highest}, the smallest side of any kernel"
        require(self.rank is None or self.rank <= highest, "rank", allowed, self.rank)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Evaluate, then rebuild the perturbations; see `GradientEstimator.estimate` for shapes."""
        evaluation = self.evaluate(x, y, seed)
        return GradientEstimate(evaluation.loss, evaluation.outputs, self.update_from(seed, evaluation.fitnesses))

    def evaluate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Evaluation:
        """Run all members, chunk by chunk; see `GradientEstimator.estimate` for shapes.

        Fitnesses are (2, pairs) float32, for w + σ ε_k and w - σ ε_k. Loss and outputs are means over the members;
        outputs are means over the members that see the example.
        """
        kept = self._kept(x.shape[0])
        if self.own_data:
            name, got = "with own_data, the population / 2 pairs", f"population {self.population}"
            require_divisor(kept, self.pairs, name, got, times=2)
        if self.keep < 1:
            seed_of_draw = tf.random.fold_in(self._own_seed(seed), len(self._network.shapes))
            drawn = importance_sampling.draw_where_wrong(self.task, x, y, kept, seed_of_draw)
            fitnesses = self._evaluated_in_chunks(drawn.x, drawn.y, seed, drawn.weights * kept).fitnesses
            return Evaluation(fitnesses, self.task.loss(y, drawn.outputs), drawn.outputs)
        return self._evaluated_in_chunks(x, y, seed)

    def _evaluated_in_chunks(
        self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, weights: tf.Tensor | None = None
    ) -> Evaluation:
        """Run all members on examples, each of which may have a weight, 1 on average: (examples,) float32."""
        chunk = self._pairs_a_chunk(x.shape[0])
        data = [x, y, *([] if weights is None else [weights])]
        if self.own_data:
            data = [tf.reshape(part, [self.pairs // chunk, -1, *part.shape[1:]]) for part in data]

        def evaluated(number: tf.Tensor) -> Evaluation:
            own_data = [part[number] for part in data] if self.own_data else data
            return self._evaluated(*own_data[:2], self._looked_up(_chunk(codes, number)), *own_data[2:])

        codes = self._codes(seed, chunk)
        numbers, types = tf.range(self.pairs // chunk), Evaluation(*[tf.float32] * 3)
        evaluations = tf.map_fn(evaluated, numbers, parallel_iterations=1, fn_output_signature=types)
        fitnesses = tf.reshape(tf.transpose(evaluations.fitnesses, [1, 0, 2]), [2, self.pairs])
        shape = [x.shape[0], evaluations.outputs.shape[-1]]
        outputs = tf.reshape(evaluations.outputs, shape) if self.own_data else tf.reduce_mean(evaluations.outputs, 0)
        return Evaluation(fitnesses, tf.reduce_mean(evaluations.loss), outputs)

    def update_from(self, seed: tf.Tensor, fitnesses: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradients that `estimate` returned, bit-identical, from the members' names and fitnesses alone.

        Args:
            seed: (2,) int64, (run seed, global step).
            fitnesses: (2, pairs) float32; column k belongs to the members named (run seed, step, k, + and -).
        """
        shaped = SHAPINGS[self.shaping](fitnesses)
        weights = (shaped[1] - shaped[0]) / (2.0 * self.sigma * self.pairs)
        chunk = self.chunk or self._divisor(CHUNK_BYTES // (4 * self._source.entries(self._network.shapes)))

        codes, weights = self._codes(seed, chunk), tf.reshape(weights, [-1, chunk])

        def add(total: list[list[tf.Tensor]] | None, number: tf.Tensor | int) -> list[list[tf.Tensor]]:
            sums = [directions.weighted_sum(weights[number]) for directions in self._looked_up(_chunk(codes, number))]
            return sums if total is None else tf.nest.map_structure(tf.add, total, sums)

        total, chunks = add(None, 0), self.pairs // chunk
        if chunks > 1:  # XLA refuses a loop over nothing
            total = tf.foldl(add, tf.range(1, chunks), total, parallel_iterations=1)
        return self._gradients(total)

    def _evaluated(
        self, x: tf.Tensor, y: tf.Tensor, directions: list[Directions], weights: tf.Tensor | None = None
    ) -> Evaluation:
        """Run one chunk; outputs are (batch, outputs), averaged over the pairs where all of them see the batch."""
        both = self._network.outputs(x, directions, self.sigma, shared=not self.own_data)
        pairs = directions[0].pairs
        if not self.own_data:
            y = tf.tile(y, [pairs] + [1] * (len(y.shape) - 1))
        losses = [self.task.per_example_loss(y, side) for side in both]
        fitnesses = [self._per_example_fitness(y, side) for side in both]
        if weights is not None:
            fitnesses = [side * weights for side in fitnesses]
        fitnesses = [tf.reshape(side, [pairs, -1]) for side in fitnesses]
        outputs = (both[0] + both[1]) / 2.0
        if not self.own_data:
            outputs = tf.reduce_mean(tf.reshape(outputs, [pairs, -1, outputs.shape[-1]]), 0)
        return Evaluation(tf.reduce_mean(tf.stack(fitnesses), 2), tf.reduce_mean(tf.stack(losses)), outputs)

    def _codes(self, seed: tf.Tensor, chunk: int) -> list[list[tf.Tensor]]:
        """Draw the codes of all directions, by chunk: (chunks, chunk, rows) for each factor of each layer."""
        own_seed = self._own_seed(seed)
        drawn = [
            self._source.codes(shape, self.pairs, tf.random.fold_in(own_seed, layer))
            for layer, shape in enumerate(self._network.shapes)
        ]
        return tf.nest.map_structure(lambda code: tf.reshape(code, [-1, chunk, code.shape[1]]), drawn)

    def _looked_up(self, codes: list[list[tf.Tensor]]) -> list[Directions]:
        return [self._source.directions(shape, code) for shape, code in zip(self._network.shapes, codes, strict=True)]

    def _pairs_a_chunk(self, batch: int) -> int:
        examples = batch // self.pairs if self.own_data else batch
        floats = examples * self._network.floats_per_example(shared=not self.own_data)
        return self.chunk or self._divisor(CHUNK_BYTES // (4 * floats))

    def _divisor(self, at_most: int) -> int:
        """Return the largest divisor of the number of pairs up to a limit, at least 1."""
        return max(count for count in range(1, self.pairs + 1) if self.pairs % count == 0 and count <= max(at_most, 1))

    def evaluations_per_step(self, batch: int) -> int:
        """Return how many times an estimate on `batch_size` examples runs the network on one example."""
        return 2 * self._kept(batch) if self.own_data else self.population * batch

    def cost(self, batch_size: int) -> float:
        """Return a third of a gradient per evaluated example: there are no backward passes.

        With `keep` below 1, the unperturbed network runs on the whole batch, too. A gradient has three matrix products
        per layer, a forward pass has one. The thin products of low-rank perturbations and their weighted sums are not
        counted.
        """
        unperturbed = batch_size if self.keep < 1 else 0
        return (unperturbed + self.evaluations_per_step(batch_size)) / 3.0


def _unshaped(fitnesses: tf.Tensor) -> tf.Tensor:
    return fitnesses


def _standardised(fitnesses: tf.Tensor) -> tf.Tensor:
    """Return (u - mean)/std over all members; zero if all are equal."""
    centred = fitnesses - tf.reduce_mean(fitnesses)
    return centred / tf.maximum(tf.math.reduce_std(fitnesses), 1e-12)


def _centred_ranks(fitnesses: tf.Tensor) -> tf.Tensor:
    """Return ranks over all members, scaled to -1/2 ... 1/2; ties share their mean rank."""
    values = tf.reshape(fitnesses, [-1])
    ordered = tf.sort(values)
    below = tf.searchsorted(ordered, values, side="left")
    not_above = tf.searchsorted(ordered, values, side="right")
    ranks = tf.cast(below + not_above - 1, tf.float32) / 2.0
    return tf.reshape(ranks / (values.shape[0] - 1) - 0.5, fitnesses.shape)


SHAPINGS = {"ranks": _centred_ranks, "standardised": _standardised, "none": _unshaped}


def _chunk(chunks: list, number: tf.Tensor | int) -> list:
    """Return one chunk, by its number, because map_fn copies the tensors that it splits."""
    return tf.nest.map_structure(lambda part: part[number], chunks)
