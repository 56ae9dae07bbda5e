"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compression import units

NBSP, NARROW = "\u00a0", "\u202f"


@pytest.mark.parametrize(
    "n, text",
    [
        (0, "0 B"),
        (812, "812 B"),
        (999, "999 B"),
        (999.6, "1.00 kB"),
        (1_000, "1.00 kB"),
        (1_994, "1.99 kB"),
        (9_996, "10.0 kB"),
        (42_345, "42.3 kB"),
        (99_960, "100 kB"),
        (431_000, "431 kB"),
        (999_499, "999 kB"),
        (999_600, "1.00 MB"),
        (1_724_320, "1.72 MB"),
        (1_724_320_000, "1.72 GB"),
        (5e12, "5000 GB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(n, text):
    assert units.size(n) == text.replace(" ", NBSP)


@given(st.integers(1_000, 999_499_999_999))
def test_a_size_is_right_to_three_digits(n):
    number, unit = units.size(n).split(NBSP)
    assert float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit] == pytest.approx(n, rel=0.0051)
    assert sum(c.isdigit() for c in number) == 3


@pytest.mark.parametrize(
    "n, text",
    [(0, "0"), (812, "812"), (43_120, "43.1 k"), (431_080, "431 k"), (2_293_000, "2.29 M")],
)
def test_counts_have_three_digits(n, text):
    assert units.quantity(n) == text.replace(" ", NBSP)


@pytest.mark.parametrize(
    "n, text", [(0, "0"), (999, "999"), (53_240, "53 240"), (10**6, "1 000 000")]
)
def test_whole_counts_are_grouped_by_narrow_spaces(n, text):
    assert units.grouped(n) == text.replace(" ", NARROW)


@pytest.mark.parametrize(
    "share, digits, text",
    [
        (0.989, 1, "98.9 %"),
        (1, 1, "100.0 %"),
        (0.98765, 2, "98.77 %"),
        (0.5, 0, "50 %"),
        (-0.25, 1, "−25.0 %"),
    ],
)
def test_shares_are_shown_as_percent(share, digits, text):
    assert units.percent(share, digits) == text.replace(" ", NBSP)


@pytest.mark.parametrize(
    "difference, text",
    [
        (-0.001, "−0.1 pt"),
        (0.0123, "+1.2 pt"),
        (0, "±0.0 pt"),
        (0.0004, "±0.0 pt"),
        (-0.0004, "±0.0 pt"),
        (-0.5, "−50.0 pt"),
    ],
)
def test_differences_are_points_with_a_sign(difference, text):
    assert units.points(difference) == text.replace(" ", NBSP)


@pytest.mark.parametrize(
    "ratio, text", [(41.3, "41×"), (3.24, "3.2×"), (9.94, "9.9×"), (9.96, "10×"), (0.5, "0.5×")]
)
def test_ratios_have_two_digits(ratio, text):
    assert units.times(ratio) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "1 s"),
        (0.2, "1 s"),
        (8.4, "8 s"),
        (99.4, "99 s"),
        (180, "3 min"),
        (5_900, "98 min"),
        (6_000, "1 h 40 min"),
        (7_200, "2 h 0 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    words = text.split(" ")
    expected = " ".join(f"{a}{NBSP}{b}" for a, b in zip(words[::2], words[1::2], strict=True))
    assert units.duration(seconds) == expected


def test_numbers_and_their_units_do_not_part_at_the_end_of_a_line():
    shown = (units.size(5_000), units.percent(0.5), units.points(0.1), units.quantity(5_000))
    assert not any(" " in text for text in shown)
    assert not any("-" in units.points(-x) + units.percent(-x) for x in (0.1, 0.5))
