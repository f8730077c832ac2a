import pytest

from common.numbers import parse_cores, parse_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0-4", [0, 1, 2, 3, 4]),
        ("0,2,5-7", [0, 2, 5, 6, 7]),
        ("3", [3]),
        ("3-3", [3]),
        (" 0 - 2 , 9 ", [0, 1, 2, 9]),
        ("4 1 0-0", [4, 1, 0]),
        ("007", [7]),
        ("5,", [5]),
    ],
)
def test_numbers(text, numbers):
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4-0", "got '4-0': write 0-4"),
        ("a", "got 'a'"),
        ("0,a", "got '0,a': 'a' is neither"),
        ("1-", "got '1-'"),
        ("-1", "got '-1'"),
        ("1-2-3", "got '1-2-3'"),
        ("0.5", "got '0.5'"),
        ("1e3", "got '1e3'"),
        ("²", "got '²'"),
        ("", "got ''"),
        (" , ", "got ' , '"),
        ("0-2,1", "got '0-2,1': 1 is there twice"),
        ("0-40000000000", "got '0-40000000000': 0-40000000000 would make them more than 100,000"),
    ],
)
def test_what_is_no_number_or_range_gets_one_sentence(text, reason):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole sentence is compared
        parse_numbers(text, "seeds")
    allowed = "whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7"
    assert str(error.value) == f"seeds must be {allowed}, {reason}"


def test_cores():
    assert [parse_cores(text) for text in ("all", "1", " 16 ")] == [None, 1, 16]


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5", "All"])
def test_wrong_cores_get_one_sentence(text):
    with pytest.raises(ValueError, match=f"^--cores must be 'all' or a whole number ≥ 1, got '{text}'$"):
        parse_cores(text, "--cores")
