import math

import pytest

from common.settings import Configured, flat_settings, parse, signature_text


class Level(Configured):
    def __init__(self, sigma, gamma=0.5):
        if sigma < 0:
            raise ValueError(f"sigma must be ≥ 0, got {sigma}")
        self.sigma, self.gamma = sigma, gamma


class Noisy(Configured):
    def __init__(self, inner, level, *, clip=None, sizes=(1, 2)):
        self.inner, self.level, self.clip, self.sizes = inner, level, clip, sizes


class Exact(Configured):
    def __init__(self):
        pass


KNOWN = {"Level": Level, "Noisy": Noisy, "Exact": Exact}


@pytest.mark.parametrize(
    "text",
    [
        "Exact()",
        "Noisy(Exact(), Level(0.1))",
        "Noisy(Noisy(Exact(), Level(1, gamma=0.25)), Level(1e-05), clip=2.0, sizes=[3])",
        "Noisy(Exact(), None, clip='a')",
    ],
)
def test_what_is_written_is_what_is_read(text):
    assert repr(parse(text, KNOWN, "estimator")) == text


def test_settings_are_the_arguments():
    assert Noisy(Exact(), Level(1)).settings == {"inner": Exact(), "level": Level(1), "clip": None, "sizes": (1, 2)}
    assert Level(1) != Level(2)
    assert len({Level(1), Level(1)}) == 1


class Bare(Configured):
    """Without a constructor."""


def test_without_a_constructor_there_are_no_settings():
    assert Bare().settings == {}
    assert repr(Bare()) == "Bare()"
    assert parse("Bare()", {"Bare": Bare}, "estimator") == Bare()
    assert flat_settings(Bare()) == {}


def test_infinity_and_negative_numbers_are_literals():
    assert parse("Level(inf)", KNOWN, "level").sigma == math.inf
    assert parse("Level(1, -2)", KNOWN, "level").gamma == -2


def test_flat_names_each_setting_by_its_owner():
    entries = flat_settings(Noisy(Noisy(Exact(), Level(1)), Level(2), sizes=(3,)))
    assert entries["Noisy.level"] == "Level"
    assert (entries["Level.sigma"], entries["Level2.sigma"]) == (1, 2)
    assert entries["Noisy.sizes"] == "[3]"
    assert entries["Noisy2.sizes"] == "[1, 2]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Noisi(Exact(), Level(1))", "unknown name 'Noisi'; did you mean 'Noisy'?"),
        ("Exact", "write Exact()"),
        ("Noisy(Exact, Level(1))", "Exact needs parentheses, Exact()"),
        ("Noisy(Exact(), Level(1), clipp=1)", "no argument 'clipp'; did you mean 'clip'?"),
        (
            "Noisy(Exact())",
            "(inner, level, *, clip=None, sizes=(1, 2)) got wrong arguments: missing a required argument",
        ),
        ("Level(-1)", "Level: sigma must be ≥ 0, got -1"),
        ("Level(1 + 1)", "'1 + 1' is neither a literal nor a call of a known name"),
        ("Level(__import__('os'))", "unknown name '__import__'"),
        ("Level(*[1])", "must name its arguments"),
        ("Level(**{})", "must name its arguments"),
        ("Level(1", "is no constructor call"),
        ("", "is no constructor call"),
        ("[Level(1)]", "is no constructor call"),
        ("(lambda: 1)()", "unknown name"),
        ("Level({})", "neither a literal"),
        ("Level(-'a')", "neither a literal"),
        ("Level(-True)", "neither a literal"),
        ("Level(sigm)", "neither a literal"),
        ("Level('a')", "Level: '<' not supported"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text, says):
    with pytest.raises(ValueError, match="estimator") as refused:
        parse(text, KNOWN, "estimator")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_signature_is_shown_without_annotations():
    assert signature_text(Level) == "(sigma, gamma=0.5)"
