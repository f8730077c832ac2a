"""Evolution strategy that perturbs the weights of one layer at a time: the network is evaluated, never differentiated.

With F(w) the fitness to be raised and e_l a perturbation of layer l's weights w_l alone, antithetic pairs of members
w ± σ e_lk, k = 1 ... n_l, estimate the gradient of the smoothed fitness layer by layer (arXiv 1703.03864, section 2.1,
whose members perturb all weights at once):

    ĝ_l = -(1/n_l) Σ_k (F_lk⁺ - F_lk⁻)/(2σ) e_lk + λ w_l

uphill on the loss, so that optimizers subtract. Directions are of low rank, as in arXiv 2511.16652 (see
`perturbations`). Perturbing a layer at a time is this project's deviation from both. It pays twice:

- Variance. In the linear regime, with full-rank Gaussian directions, S shares of C examples each and M_l pairs a share,

      var ĝ_l ≈ D_l (‖g_l‖² + tr Σ_l/C)/(S M_l) + tr Σ_l/(S C)

  with D_l weights in layer l, g_l its gradient and Σ_l the covariance of the examples' gradients there. When all layers
  are perturbed at once, D_l stands before the whole network's ‖g‖² and tr Σ: what the other layers' perturbations
  change is noise to this one. (For rank one, fan_in · out-like moments of the factors take the place of D_l, of the
  same size: `perturbations`, signs are best.)
- Work. What enters layer l is the same for all its members, and is computed once; only the rest of the network runs for
  each of them. The last layers' many weights get many pairs for little: there, the rest is nothing.

A member's name is (run seed, step, layer, share, k, sign): whoever has the weights can rebuild its perturbation, so
that workers exchange a fitness a member and nothing else. `update_from` is that rebuilding.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from common.arguments import require
from common.estimators.perturbations import Directions
from common.estimators.shares import require_divisor
from common.estimators.weight_evolution import PERTURBATION_STREAM, Evaluation, WeightEvolution
from common.tasks import Task


class LayerwiseEvolution(WeightEvolution):
    """Antithetic evolution strategy, a layer at a time, on a sequential network of Dense and Conv2D layers.

    It has no state. Loss and outputs of its estimates are those of the unperturbed network, which are found on the way.
    Fitnesses are not shaped: with the loss as the fitness, ĝ is an unbiased estimate of the gradient of each layer's
    smoothed loss. Dropout is off.

    Args:
        share: C ≥ 1, examples that all pairs of a layer see together; a divisor of the batch. What a share's members
            compute at once is held in memory: about 2 M_l C times the rest's widest layer, in numbers.
        pairs: M_l for each layer with weights, in their order: how many pairs each share is seen by. 0 or None: a pair
            for each example, which sees that one alone, so that C pairs see one example each: best where the rest of
            the network is nearly all of it, as in the first layer.
        sigma: σ > 0, standard deviation of the perturbation of each weight, in the weights' units.
        rank: of each kernel's perturbation, from 1 to the smallest side of any kernel; None: full rank.
        fitness: "loss" (its negative) or "accuracy" (classification only: right or wrong is all that is known).
        directions: entries of the perturbation's factors, "gaussian" or "signs", see `perturbations`.
        weight_decay: λ ≥ 0, the gradient of λ‖w‖²/2 is added.

    Raises:
        ValueError: a value out of range; by `build`, a network whose layers are not known or are not as many as
            `pairs`, a rank that is too high, or "accuracy" where the task has none; by `estimate`, a batch that the
            share does not divide.
    """

    def __init__(
        self,
        share: int,
        pairs: Sequence[int | None],
        sigma: float,
        *,
        rank: int | None = 1,
        fitness: str = "loss",
        directions: str = "gaussian",
        weight_decay: float = 0.0,
    ):
        super().__init__(sigma, rank=rank, fitness=fitness, directions=directions, weight_decay=weight_decay)
        require(share >= 1, "share", "≥ 1", share)
        counts = [count or 0 for count in pairs]
        require(all(count >= 0 for count in counts), "pairs", "≥ 0 each (0: a pair for each example)", list(pairs))
        self.share, self.pairs = share, tuple(counts)

    def build(self, task: Task) -> None:
        """See what is to be perturbed; see the class for what is refused."""
        super().build(task)
        layers = len(self._network.shapes)
        allowed = f"{layers} numbers, one for each layer with weights"
        require(len(self.pairs) == layers, "pairs", allowed, list(self.pairs))

    def evaluate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> Evaluation:
        """Run all members, share by share; see `GradientEstimator.estimate` for shapes.

        Fitnesses are a list, for each layer (shares, 2, pairs a share) float32, of w + σ e and w - σ e.
        """
        require_divisor(x.shape[0], self.share, "share")
        shares = x.shape[0] // self.share
        data = [tf.reshape(part, [shares, self.share, *part.shape[1:]]) for part in (x, y)]

        def evaluated(number: tf.Tensor) -> Evaluation:
            return self._evaluated(data[0][number], data[1][number], self._directions(seed, number))

        types = Evaluation([tf.float32 for _ in self.pairs], tf.float32, tf.float32)
        found = tf.map_fn(evaluated, tf.range(shares), parallel_iterations=1, fn_output_signature=types)
        outputs = tf.reshape(found.outputs, [x.shape[0], found.outputs.shape[-1]])
        return Evaluation(found.fitnesses, tf.reduce_mean(found.loss), outputs)

    def update_from(self, seed: tf.Tensor, fitnesses: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients that `estimate` returned, from the members' names and fitnesses alone, bit-identical.

        Args:
            seed: (2,) int64, (run seed, global step).
            fitnesses: for each layer (shares, 2, pairs a share) float32, at [share, :, k] those of the members named
                (run seed, step, layer, share, k, + and -).
        """
        shares = fitnesses[0].shape[0]
        weights = [(one[:, 1] - one[:, 0]) / (2.0 * self.sigma * shares * one.shape[2]) for one in fitnesses]

        def add(total: list[list[tf.Tensor]] | None, number: tf.Tensor | int) -> list[list[tf.Tensor]]:
            directions = self._directions(seed, number)
            found = [one.weighted_sum(part[number]) for one, part in zip(directions, weights, strict=True)]
            return found if total is None else tf.nest.map_structure(tf.add, total, found)

        return self._gradients(tf.foldl(add, tf.range(1, shares), add(None, 0), parallel_iterations=1))

    def _evaluated(self, x: tf.Tensor, y: tf.Tensor, directions: list[Directions]) -> Evaluation:
        """Run one share; fitnesses are (2, pairs) for each layer."""
        all_see = [count > 0 for count in self.pairs]
        outputs, members = self._network.layer_by_layer(x, directions, self.sigma, all_see)
        fitnesses = [
            tf.stack([self._fitnesses(y, one, of_layer.pairs) for one in both])
            for both, of_layer in zip(members, directions, strict=True)
        ]
        return Evaluation(fitnesses, self.task.loss(y, outputs), outputs)

    def _fitnesses(self, y: tf.Tensor, outputs: tf.Tensor, pairs: int) -> tf.Tensor:
        """From the outputs of all members of one sign to (pairs,), means over the examples that a pair sees."""
        times = outputs.shape[0] // self.share
        found = self._per_example_fitness(tf.tile(y, [times] + [1] * (y.shape.rank - 1)), outputs)
        return tf.reduce_mean(tf.reshape(found, [pairs, -1]), 1)

    def _directions(self, seed: tf.Tensor, share: tf.Tensor | int) -> list[Directions]:
        """Draw what a share's members are perturbed by, from nothing but their names."""
        own_seed = tf.random.fold_in(seed, PERTURBATION_STREAM)
        found = []
        for layer, (shape, pairs) in enumerate(zip(self._network.shapes, self._pairs_a_share, strict=True)):
            share_seed = tf.random.fold_in(tf.random.fold_in(own_seed, layer), share)
            found.append(self._source.directions(shape, self._source.codes(shape, pairs, share_seed)))
        return found

    @property
    def _pairs_a_share(self) -> list[int]:
        return [count or self.share for count in self.pairs]

    def evaluations_per_step(self, batch: int) -> int:
        """How many times an estimate on so many examples evaluates a member on one example.

        These are partial runs, each of the network from the member's layer on: a run of the whole network each only
        where the first layer is perturbed.
        """
        return 2 * batch * sum(count or 1 for count in self.pairs)

    @property
    def cost(self) -> float:
        """In minibatch gradients of three forward passes, from the multiplications of matrix products.

        With c_l those of layer l for one example, r_l those of a pair's response there, and M_l pairs (1 where a pair
        sees one example): (Σ c_l + Σ_l M_l (r_l + 2 Σ_{i>l} c_i)) / (3 Σ c_l). Activations and losses are not counted.
        """
        shapes, positions = self._network.shapes, self._network.positions
        layers = [often * shape.fan_in * shape.out for shape, often in zip(shapes, positions, strict=True)]
        members = 0
        for layer, count in enumerate(self.pairs):
            response = positions[layer] * self._source.products(shapes[layer])
            members += (count or 1) * (response + 2 * sum(layers[layer + 1 :]))
        return (sum(layers) + members) / (3.0 * sum(layers))
