import numpy as np
import tensorflow as tf

from common.vectors import flatten, unflatten

SHAPES = [(3, 2), (), (4,), (1, 2, 2)]


def _tensors():
    rng = np.random.default_rng(0)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES]


def test_flat_is_every_entry_in_the_order_of_the_tensors():
    tensors = _tensors()
    np.testing.assert_array_equal(flatten(tensors), np.concatenate([np.ravel(part) for part in tensors]))


def test_unflat_undoes_flat():
    tensors = _tensors()
    for part, expected in zip(unflatten(flatten(tensors), tensors), tensors, strict=True):
        assert part.shape == expected.shape
        np.testing.assert_array_equal(part, expected)
