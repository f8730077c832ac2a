"""Memory of a training step beyond the network's weights: counted in its trace, not measured.

A trace gives all tensors, their sizes and their consumers. An intermediate tensor is alive from the operation that
makes it to its last consumer, in the order of tracing; this is its live range. The count is the same on every machine
and gives the memory that a method needs. Backpropagation keeps every layer's activations for the backward pass; a
forward pass needs those of one layer at a time.

The count excludes what TensorFlow adds or saves. This includes its allocator's rounding and fragmentation, buffers that
an elementwise operation reuses from its input, fused operations, XLA and the workspaces of kernels (oneDNN). It also
includes the order in which TensorFlow runs operations that are ready.

The measurements here are the growth of a process' peak resident memory, with a malloc that returned freed memory. For
an MLP 784-256-256-256-10 with 16,384 examples by backpropagation, 84 MB were counted and 72 MB measured. The order
matters if many operations are ready early, such as random tangents of every layer. One example is
`LocalLosses(ActivityForwardGradient())` with 12 layers of 256 units and 16,384 examples. There, 72 MB were counted, 294
to 321 MB measured, and 124 MB in the order of the trace.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import tensorflow as tf

from common.data.load import Dataset, Split
from common.estimators.estimator import GradientEstimator
from common.optimizers.schedules import bind
from common.tasks.task import Task
from common.training.budget import Budget
from common.training.loop import one_step
from common.training.state import variables_of

_NO_BUFFER = {  # outputs that are in memory anyway, or known from static shapes
    *("Const", "ReadVariableOp", "VarHandleOp", "Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs"),
    *("TensorListLength", "TensorListElementShape"),
}
_VIEWS = {  # output i shares the buffer of input i; a list's element is part of the list
    *("Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "Bitcast", "StopGradient", "PreventGradient"),
    *("EnsureShape", "CheckNumerics", "PlaceholderWithDefault", "TensorListSetItem", "TensorListGetItem"),
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_LOOPS = {"While", "StatelessWhile"}
_BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase"}


class StepMemory(NamedTuple):
    """Memory of one training step beyond the network's weights, in bytes.

    Attributes:
        temporary: the peak of the intermediate tensors of estimate and update; see `peak_bytes`.
        state: bytes of the variables of estimator and optimizer, which stay from step to step.
    """

    temporary: int
    state: int


def step_memory(
    task: Task,
    estimator: GradientEstimator,
    optimizer: keras.optimizers.Optimizer,
    split: Split,
    *,
    batch_size: int,
    seed: int = 0,
) -> StepMemory:
    """Trace one step of the loop and count its memory, without training.

    Neither number includes the batch itself or the network's variables, among them batch norm's averages and dropout's
    state. Constants of the trace, such as an estimator's table of random directions, do not count either.

    Args:
        task: network, loss and metric.
        estimator: it is built here.
        optimizer: it is built here, unless it is built already.
        split: training examples, from which the step gets a batch.
        batch_size: examples of the step, 1 to the size of the split.
        seed: seed of the run for which the estimator is built.

    Raises:
        ValueError: a batch size out of range, and the errors of estimator, optimizer and `peak_bytes`.
    """
    budget = Budget(Dataset("counted", "classification", split, split, split, None, "", ""), 1, batch_size)
    estimator.build(task, budget.context(seed))
    bind(optimizer, budget.steps, budget.steps_per_epoch)
    step = tf.function(one_step(task, estimator, optimizer), jit_compile=False, autograph=False)
    batch = (tf.TensorSpec((batch_size, *part.shape[1:]), part.dtype) for part in (split.x, split.y))
    traced = step.get_concrete_function(*batch, tf.TensorSpec((2,), tf.int64))
    network = {id(variable) for variable in task.network.variables}
    state = (variable for variable in variables_of(estimator, optimizer) if id(variable) not in network)
    held = sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in state)
    return StepMemory(peak_bytes(traced), held)


def peak_bytes(function: tf.types.experimental.ConcreteFunction) -> int:
    """Return the largest total size, in bytes, of the intermediate tensors that are alive at one operation.

    The outputs of every operation that results or side effects need are counted. Each counts from that operation to its
    last consumer; results count to the end. Inputs and outputs of an operation are alive together.

    - Inputs, captured tensors, constants, variables and reads of variables add nothing.
    - A view (Reshape, Identity, ...) shares its input's buffer and extends its life. Slices and the parts of a split
      are copies.
    - A call counts like its operations in its place.
    - A branch or loop holds, while it runs, its inputs and the peak of its body (of the branch that needs most). An
      iteration has the old and the new values of the loop's variables; iterations run one after another.
    - A list of tensors, as in `tf.map_fn` and `tf.TensorArray`, is full from the beginning, and its elements are views.
      It is a copy of the tensor from which it is made; the stacked tensor is another copy.

    The count excludes the copy of a variable that an update makes while the old value is in use. It also excludes the
    effects that the module's docstring names.

    Args:
        function: all its sizes must follow from static shapes and constants.

    Raises:
        ValueError: the size of a tensor or list is unknown before the function runs; an operation runs a function other
            than by a call, a branch or a loop.
    """
    replay = tf.Graph()
    steps = _Steps(replay)
    arguments = [_Value(_Buffer(0), _placeholder(replay, tensor)) for tensor in function.graph.inputs]
    return steps.peak(steps.run(function.graph, arguments))


@dataclass(eq=False)
class _Buffer:
    """Memory of a tensor and all its views, from step `first` to step `last`."""

    size: int  # bytes
    first: int = 0
    last: int = 0
    length: int = 0  # elements of a list, whose `size` is known after one element is set
    outer: _Buffer | None = None  # for an argument of a body: the buffer outside of the body


class _Value(NamedTuple):
    """A traced tensor: its buffer, and its copy in a graph that infers shapes across functions."""

    buffer: _Buffer
    known: tf.Tensor


class _Body(NamedTuple):
    """The body of a branch or loop within a step: its peak, and the loop variables' initial buffers and bytes."""

    step: int
    peak: int
    variables: list[tuple[_Buffer, int]]


class _Steps:
    """A sequence of operations, with called functions in the place of their calls, and the buffers they make."""

    def __init__(self, replay: tf.Graph):
        self._replay = replay
        self._count = 0
        self._buffers: list[_Buffer] = []
        self._bodies: list[_Body] = []

    def run(self, graph: tf.Graph, arguments: Sequence[_Value]) -> list[_Value]:
        """Process a function's operations and return its results."""
        values = {}
        for tensor, value in zip(graph.inputs, arguments, strict=True):
            value.known.set_shape(tensor.shape)
            values[tensor.name] = value
        for operation in _needed(graph):
            if operation.type != "Placeholder":
                outputs = self._outputs(operation, [values[tensor.name] for tensor in operation.inputs])
                values |= {tensor.name: value for tensor, value in zip(operation.outputs, outputs, strict=True)}
        return [values[tensor.name] for tensor in graph.outputs]

    def peak(self, results: Sequence[_Value]) -> int:
        """Return the peak, in bytes, if these results are needed to the end."""
        self._step(results)
        changes = [0] * (self._count + 1)
        for buffer in self._buffers:
            changes[buffer.first] += buffer.size
            changes[buffer.last + 1] -= buffer.size
        alive = list(itertools.accumulate(changes))
        for body in self._bodies:
            alive[body.step] += body.peak + _carried(body)
        return max(alive)

    def _outputs(self, operation: tf.Operation, inputs: list[_Value]) -> list[_Value]:
        functions = _functions(operation)
        if operation.type in _CALLS:
            return self.run(functions["f"], inputs)
        if operation.type in _LOOPS:
            return self._outputs_of_loop(operation, functions["cond"], functions["body"], inputs)
        if operation.type in _BRANCHES:
            return self._outputs_of_branches(operation, functions.values(), inputs)
        if functions:
            raise ValueError(f"what {_name(operation)} holds is not known: it runs a function in a way of its own")
        known = _replayed(self._replay, operation, inputs)
        if operation.type in _NO_BUFFER:
            return [_Value(_Buffer(0), tensor) for tensor in known]
        step = self._step(inputs)
        if operation.type == "TensorListSetItem":
            _set_element(inputs[0].buffer, _bytes(inputs[2].known, operation))
        if operation.type in _VIEWS:
            return [_Value(value.buffer, tensor) for value, tensor in zip(inputs, known, strict=False)]
        if operation.type == "TensorListReserve":
            buffer = self._buffer(0, step)
            buffer.length = _length(inputs[1].known, operation)
            return [_Value(buffer, *known)]
        # A list made from a tensor is as large as the tensor.
        sized = [inputs[0].known] if operation.type == "TensorListFromTensor" else known
        return [_Value(self._buffer(_bytes(a, operation), step), b) for a, b in zip(sized, known, strict=True)]

    def _outputs_of_loop(
        self, operation: tf.Operation, condition: tf.Graph, body: tf.Graph, inputs: list[_Value]
    ) -> list[_Value]:
        arguments = [
            _Value(_Buffer(0, outer=value.buffer), value.known if passed else _placeholder(self._replay, value.known))
            for value, passed in zip(inputs, _passed_on(body), strict=True)
        ]
        test, iteration = _Steps(self._replay), _Steps(self._replay)
        peak = test.peak(test.run(condition, arguments))
        results = iteration.run(body, arguments)
        peak = max(peak, iteration.peak(results))
        sizes = [_changed(operation, *pair) for pair in zip(arguments, results, strict=True)]
        variables = [(value.buffer, size) for value, size in zip(inputs, sizes, strict=True) if size is not None]
        self._bodies.append(_Body(self._step(inputs), peak, variables))
        end = self._step([])  # the outputs of the last iteration stay, as the outputs of the loop
        return [
            _Value(value.buffer if size is None else self._buffer(size, end), argument.known)
            for value, argument, size in zip(inputs, arguments, sizes, strict=True)
        ]

    def _outputs_of_branches(
        self, operation: tf.Operation, branches: Iterable[tf.Graph], inputs: list[_Value]
    ) -> list[_Value]:
        peak, results = 0, []
        for branch in branches:
            arguments = [_Value(_Buffer(0, outer=value.buffer), value.known) for value in inputs[1:]]
            steps = _Steps(self._replay)
            results.append(steps.run(branch, arguments))
            peak = max(peak, steps.peak(results[-1]))
        self._bodies.append(_Body(self._step(inputs), peak, []))
        end, outputs = self._step([]), []
        for tensor, *values in zip(operation.outputs, *results, strict=True):
            known = _placeholder(self._replay, tensor)
            if all(value.known.shape == values[0].known.shape for value in values):
                known.set_shape(values[0].known.shape)
            same = {value.buffer.outer for value in values}
            given = same.pop() if len(same) == 1 else None  # every branch returns this input unchanged
            outputs.append(_Value(given or self._buffer(_bytes(known, operation), end), known))
        return outputs

    def _step(self, inputs: Sequence[_Value]) -> int:
        """Add a step that consumes these values, and return its number."""
        for value in inputs:
            value.buffer.last = self._count
        self._count += 1
        return self._count - 1

    def _buffer(self, size: int, step: int) -> _Buffer:
        buffer = _Buffer(size, step, step)
        self._buffers.append(buffer)
        return buffer


def _needed(graph: tf.Graph) -> list[tf.Operation]:
    """Return, in order, the operations that results or side effects need; TensorFlow runs no others."""
    waiting, needed = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs], set()
    while waiting:
        operation = waiting.pop()
        if operation.name not in needed:
            needed.add(operation.name)
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return [operation for operation in graph.get_operations() if operation.name in needed]


def _functions(operation: tf.Operation) -> dict[str, tf.Graph]:
    """Return the graphs of the functions that an operation runs, by the name of the attribute."""
    names = {}
    for attribute, value in operation.node_def.attr.items():
        if value.HasField("func"):
            names[attribute] = value.func.name
        names |= {f"{attribute}_{number}": function.name for number, function in enumerate(value.list.func)}
    return {attribute: operation.graph._get_function(name).graph for attribute, name in names.items()}


def _passed_on(body: tf.Graph) -> list[bool]:
    """Return, for each of a loop's variables, whether every iteration passes it on unchanged."""
    same = []
    for argument, result in zip(body.inputs, body.outputs, strict=True):
        tensor = result
        while tensor.op.type == "Identity":
            tensor = tensor.op.inputs[0]
        same.append(tensor.name == argument.name)
    return same


def _changed(operation: tf.Operation, argument: _Value, result: _Value) -> int | None:
    """Return the bytes of a loop's variable if iterations make a new one; None if its buffer is passed on."""
    before, after = argument.known.shape, result.known.shape
    if before != after:
        raise ValueError(f"{_name(operation)} changes the shape of a loop variable from {before} to {after}")
    return None if argument.buffer is result.buffer else _bytes(argument.known, operation)


def _carried(body: _Body) -> int:
    """Return the bytes of a loop's variables that cannot replace their initial buffers, because these stay."""
    replaced, total = set(), 0
    for buffer, size in body.variables:
        if buffer.size and buffer.last == body.step and buffer not in replaced:
            replaced.add(buffer)
        else:
            total += size
    return total


def _placeholder(graph: tf.Graph, tensor: tf.Tensor) -> tf.Tensor:
    with graph.as_default():
        return tf.compat.v1.placeholder(tensor.dtype, tensor.shape)


def _replayed(graph: tf.Graph, operation: tf.Operation, inputs: Sequence[_Value]) -> list[tf.Tensor]:
    """Add an operation to a graph and return its outputs, whose shapes TensorFlow infers from the inputs there.

    A function's own graph does not know the constants among its arguments, and not always the shapes.
    """
    attributes = {name: value for name, value in operation.node_def.attr.items() if not name.startswith("_")}
    dtypes = [tensor.dtype for tensor in operation.outputs]
    copy = graph.create_op(operation.type, [value.known for value in inputs], dtypes, attrs=attributes)
    for known, tensor in zip(copy.outputs, operation.outputs, strict=True):
        known.set_shape(tensor.shape)  # for example, of a variable that is read
    return copy.outputs


def _bytes(tensor: tf.Tensor, operation: tf.Operation) -> int:
    if tensor.dtype == tf.resource:
        return 0
    if tensor.dtype == tf.variant:
        raise ValueError(f"{_name(operation)} makes a variant, such as a list of tensors, whose size is not known")
    if not tensor.shape.is_fully_defined():
        raise ValueError(
            f"{_name(operation)} makes a tensor of shape {tensor.shape}, whose size is not known before it runs"
        )
    return tensor.shape.num_elements() * tensor.dtype.size


def _length(number: tf.Tensor, operation: tf.Operation) -> int:
    with number.graph.as_default():
        length = tf.zeros(tf.reshape(number, [1])).shape[0]  # inferred from more than tf.get_static_value knows
    if length is None:
        raise ValueError(f"{_name(operation)} makes a list of tensors whose length is not known before it runs")
    return length


def _set_element(buffer: _Buffer, size: int) -> None:
    """Set the size of a list, wherever it was made, from the bytes of one element."""
    while buffer.outer:
        buffer = buffer.outer
    buffer.size = max(buffer.size, buffer.length * size)


def _name(operation: tf.Operation) -> str:
    return f"{operation.name} ({operation.type})"
