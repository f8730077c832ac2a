import pytest

from common.checks import require


def test_what_is_allowed_passes():
    assert require(True, "sigma", "≥ 0", 0.5) is None


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1"), (None, "None"), ("one", "'one'")])
def test_what_is_not_is_named_in_one_sentence(value, shown):
    with pytest.raises(ValueError, match=f"^sigma must be ≥ 0, got {shown}$"):
        require(False, "sigma", "≥ 0", value)
