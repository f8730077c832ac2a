import pytest

from common.checks import nearest


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("minst", ["digits", "mnist"], "; did you mean 'mnist'?"),
        ("Fashion-MNIST", ["mnist", "fashion_mnist"], "; did you mean 'fashion_mnist'?"),
        ("adam", ["SGD", "Adam"], "; did you mean 'Adam'?"),
        ("zzz", ["digits", "mnist"], ""),
        (3, {"mnist": None}, ""),
        ("mnist", [], ""),
    ],
)
def test_nearest(name, known, hint):
    assert nearest(name, known) == hint
