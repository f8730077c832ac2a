import keras
import numpy as np
import pytest
import tensorflow as tf

from common.data import Split
from common.estimators import ActivityForwardGradient, Backpropagation, ForwardGradient, LocalLosses
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.memory import peak_bytes, step_memory

X, W = tf.TensorSpec((4, 3), tf.float32), tf.TensorSpec((3, 5), tf.float32)  # a product of them has 4·5·4 = 80 bytes
SQUARE = tf.TensorSpec((5, 5), tf.float32)
PREDICATE = tf.TensorSpec((), tf.bool)


def _peak(function, *specs):
    return peak_bytes(tf.function(function, autograph=False).get_concrete_function(*specs))


def test_a_chain_holds_what_an_operation_takes_and_makes():
    assert _peak(lambda x, w: tf.nn.relu(x @ w), X, W) == 160
    assert _peak(lambda x, w: tf.reduce_sum(tf.nn.relu(x @ w)), X, W) == 160
    assert _peak(lambda x, w: tf.reduce_sum(tf.nn.relu(tf.nn.relu(x @ w))), X, W) == 160
    assert _peak(lambda x, w: tf.cast(x @ w, tf.float64), X, W) == 80 + 160


def test_a_late_use_prolongs_a_life():
    def function(x, w):
        early = x @ w
        return early + tf.square(tf.nn.relu(early))

    assert _peak(function, X, W) == 240  # early, relu and square; early, square and the sum


def test_results_live_to_the_end():
    def function(x, w):
        early = x @ w
        return early, tf.reduce_sum(tf.square(tf.nn.relu(x @ w)))

    assert _peak(function, X, W) == 240


def test_a_view_is_no_copy_and_prolongs_a_life():
    def function(x, w, late):
        early = x @ w
        view = tf.reshape(tf.identity(early), [20])
        total = tf.reduce_sum(tf.square(tf.nn.relu(early)))
        return total + tf.reduce_sum(view) if late else total

    assert _peak(lambda x, w: function(x, w, late=False), X, W) == 160
    assert _peak(lambda x, w: function(x, w, late=True), X, W) == 240


def test_inputs_constants_and_variables_hold_nothing_new():
    variable, table = tf.Variable(tf.ones([3, 5])), tf.random.normal([100, 100])

    def function(x):
        variable.assign_add(variable)
        return tf.gather(table[0], tf.constant([0, 1])), tf.stop_gradient(tf.identity(variable)), x

    assert _peak(function, X) == 400 + 8  # a row of the table is a copy
    assert _peak(lambda: tf.constant(1.0)) == 0


def test_what_nobody_needs_is_not_run():
    def function(x, w):
        tf.nn.relu(x @ w)
        return tf.reduce_sum(x)

    assert _peak(function, X, W) == 4


def test_a_call_is_what_it_calls():
    @tf.function(autograph=False)
    def inner(product):
        return tf.square(tf.nn.relu(product))

    assert _peak(lambda x, w: inner(x @ w), X, W) == 160  # the argument is not needed any more once it is rectified


def test_a_call_s_shapes_follow_from_constants_outside():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([2], tf.int32)])
    def ones(shape):
        return tf.square(tf.ones(shape))

    with pytest.raises(ValueError, match=r"Fill\) makes a tensor of shape \(None, None\)"):
        peak_bytes(ones.get_concrete_function())
    assert _peak(lambda: ones(tf.constant([3, 4]))) == 2 * 48


def _loop(state, w):
    def body(number, state):
        return number + 1, tf.tanh(state @ w)

    return tf.while_loop(lambda number, _: number < 3, body, (0, state), parallel_iterations=1)[1]


def _loop_beside_its_beginning(x, w, v):
    state = x @ w
    return state + _loop(state, v)


COUNTERS = 2 * 4  # the loop's own and TensorFlow's


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # The old state, from outside or an iteration, and the product and its tanh; TensorFlow counts after them.
        (lambda x, w, v: _loop(x @ w, v), 3 * 80 + COUNTERS + 4),
        (lambda x, w, v: _loop(tf.zeros([4, 5]), v), 3 * 80 + COUNTERS + 4),
        # What the loop begins with stays.
        (_loop_beside_its_beginning, 4 * 80 + COUNTERS + 4),
        # Within another loop, beside its old state: the inner loop's old state, product and tanh.
        (
            lambda x, w, v: tf.while_loop(lambda _: True, lambda state: (_loop(state, v),), (x @ w,), None, 1)[0],
            4 * 80 + 4 + COUNTERS + 4,
        ),
    ],
)
def test_a_loop_holds_old_and_new_values(function, expected):
    assert _peak(function, X, W, SQUARE) == expected


@pytest.mark.parametrize("lowered", [tf.cond, lambda p, a, b: tf.switch_case(tf.cast(p, tf.int32), [a, b])])
def test_a_branch_holds_as_much_as_the_one_that_needs_most(lowered):
    def function(predicate, x, w):
        product = x @ w
        branches = (lambda: tf.nn.relu(tf.square(product))), (lambda: tf.zeros([4, 5]))
        return lowered(predicate, *branches)

    chosen_by = 0 if lowered is tf.cond else 4  # bytes of a case's number
    assert _peak(function, PREDICATE, X, W) == 240 + chosen_by


def test_what_every_branch_hands_on_is_no_copy():
    def function(predicate, x, w):
        product, variable = x @ w, tf.zeros([])
        same = tf.cond(predicate, lambda: product, lambda: tf.identity(product))
        return tf.reduce_sum(same) + variable

    assert _peak(function, PREDICATE, X, W) == 84


def test_lists_are_full_and_elements_views():
    def function(x, w):
        return tf.map_fn(lambda row: tf.tanh(tf.linalg.matvec(w, row, transpose_a=True)), x, parallel_iterations=1)

    lists = 48 + 80  # rows of x, and of the product
    iteration = 2 * 20  # a row's product and its tanh; the counters come after them
    assert _peak(function, X, W) == lists + iteration + COUNTERS
    wide = tf.TensorSpec((3, 500), tf.float32)
    assert _peak(function, X, wide) == 2 * 8_000  # a list, and the tensor that it is stacked to


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, w: x @ w, r"MatMul\) makes a tensor of shape \(None, 5\), whose size is not known"),
        (lambda x, w: tf.map_fn(tf.square, x), r"TensorList\w+\) makes a .* not known before it runs$"),
        (
            lambda x, w: tf.while_loop(
                lambda _: True, lambda a: (tf.concat([a, a], 0),), (w,), (tf.TensorShape([None, 5]),)
            ),
            r"While\) changes the shape of a loop variable from \(3, 5\) to \(6, 5\)$",
        ),
        (
            lambda x, w: tf.raw_ops.MapDefun(
                arguments=[w],
                captured_inputs=[],
                output_types=[tf.float32],
                output_shapes=[[5]],
                f=tf.function(tf.square).get_concrete_function(tf.TensorSpec((5,), tf.float32)),
            ),
            r"MapDefun\) holds is not known: it runs a function in a way of its own$",
        ),
    ],
)
def test_what_is_not_known_is_named(function, words):
    with pytest.raises(ValueError, match=words):
        _peak(function, tf.TensorSpec((None, 3), tf.float32), W)


def _memory(estimator, batch_size, layers=2, optimizer=None):
    rng = np.random.default_rng(0)
    split = Split(rng.random((1_024, 8), dtype=np.float32), rng.integers(0, 4, 1_024).astype(np.int32))
    task = tasks.classification(models.build("mlp", (8,), 4, seed=0, hidden=(8,) * layers))
    optimizer = optimizer or keras.optimizers.SGD(0.1)
    return step_memory(task, estimator, optimizer, split, batch_size=batch_size)


def test_backpropagation_s_temporary_memory_grows_with_the_batch_and_the_state_does_not():
    memories = [_memory(Backpropagation(), size) for size in (128, 256, 512)]
    small, middle, large = (memory.temporary for memory in memories)
    assert large - middle == 2 * (middle - small)
    assert middle - small > 128 * 4 * (8 + 8)  # the hidden units' activations at least
    assert len({memory.state for memory in memories}) == 1


def test_adam_s_state_is_two_numbers_a_weight():
    weights = 2 * (8 * 8 + 8) + 8 * 4 + 4
    scalars = 8 + 4  # bytes of the int64 iterations and the float32 learning rate
    assert _memory(Backpropagation(), 16, optimizer=keras.optimizers.Adam(0.1)).state == 2 * 4 * weights + scalars
    assert _memory(Backpropagation(), 16).state == scalars


def test_the_state_of_an_estimator_is_in_it():
    estimator = LocalLosses(Backpropagation(), optimizer=keras.optimizers.SGD(0.1))
    assert _memory(estimator, 16).state == 3 * (8 + 4) + 2 * 4 * (8 * 4 + 4)  # three optimizers' scalars, two heads


def test_what_is_held_of_a_deep_network():
    """Backpropagation keeps each layer's activations; so do local losses, whose forward pass ends before they begin."""
    size, layer = 1_024, 1_024 * 4 * 8  # bytes of a layer's activations
    weights = 4 * (8 * 8 + 8)  # bytes of a layer's weights

    def grows(estimator):
        return (_memory(estimator, size, layers=4).temporary - _memory(estimator, size).temporary) / 2

    assert grows(Backpropagation()) == layer
    assert layer <= grows(LocalLosses(Backpropagation())) < layer + 4 * weights
    # A forward pass needs one layer's at a time, whether for a tangent of all weights or up to each layer's own loss.
    assert weights <= grows(ForwardGradient()) < 4 * weights
    assert grows(LocalLosses(ActivityForwardGradient())) < 4 * weights
    assert grows(ActivityForwardGradient()) == 2 * layer  # activations and their tangents, for the products at the end
