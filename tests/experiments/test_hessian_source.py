import pytest

from common.estimators import ConstantDamping
from common.experiments.low_rank_hessian.source import SWITCHED_OFF, source_newton


def test_what_the_call_leaves_out_is_as_in_the_source():
    newton = source_newton("SaddleFreeNewton(Backpropagation(), 40, ConstantDamping(0.1), 128, 50)")
    assert (newton.rank, newton.hessian_batch, newton.refresh_every) == (40, 128, 50)
    assert newton.damping == ConstantDamping(0.1)
    assert newton.l2 == 0.1
    assert newton.first_interval == 50
    assert {name: newton.settings[name] for name in SWITCHED_OFF} == SWITCHED_OFF


def test_what_the_call_says_stays():
    call = "SaddleFreeNewton(Backpropagation(), damping=ConstantDamping(0.2), l2=0.0, averaging=0.5, first_interval=4)"
    newton = source_newton(call)
    assert (newton.l2, newton.averaging, newton.first_interval) == (0.0, 0.5, 4)
    assert newton.warm_start is False


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("SaddleFreeNewton(Backpropagation())", "the source's damping must be one such as ConstantDamping"),
        ("SaddleFreeNewton(Backprop())", "unknown name 'Backprop'"),
    ],
)
def test_other_calls_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        source_newton(call)
