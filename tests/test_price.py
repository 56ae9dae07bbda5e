"""What a file costs to send and to keep: arithmetic on inputs."""

import pytest

from compression import units
from compression.errors import InvalidInput
from compression.price import INPUTS, LINES, Prices, money

KB = 1_000


def words(text: str) -> str:
    return text.replace(units.NBSP, " ")


def test_the_lines_by_hand_for_a_file_of_a_hundred_kilobytes():
    p = Prices(dict(rate_4g=8_000, installs=2_000_000, downloads=3, traffic=0.05, storage=0.2), "€")
    size = 100 * KB
    assert p.of("download", size) == size
    assert p.of("time_4g", size) == pytest.approx(0.1), "800,000 bits at 8,000,000 a second"
    assert p.of("traffic_bytes", size) == 6e11
    assert p.of("traffic_price", size) == pytest.approx(30.0), "600 GB at 0.05"
    assert p.of("storage_bytes", size) == 2e11
    assert p.text("storage_price", size) == "€40.00", "200 GB at 0.2"
    assert words(p.text("time_4g", size)) == "100 ms"
    assert words(p.text("traffic_bytes", size)) == "600 GB"


@pytest.mark.parametrize("line", LINES)
def test_a_file_of_half_the_length_costs_half(line):
    p = Prices()
    assert p.of(line, 50 * KB) == pytest.approx(p.of(line, 100 * KB) / 2)


@pytest.mark.parametrize("line", LINES)
def test_a_formula_names_the_bytes_and_every_input_that_it_uses(line):
    known = LINES[line]
    used = [x for x in (*known.times, *known.over) if isinstance(x, str)]
    for word in ["bytes", *(INPUTS[x].word for x in used)]:
        assert word in known.formula
    assert known.formula.count("÷") == bool(known.over)


def test_every_input_is_used_and_starts_within_its_limits():
    used = {x for line in LINES.values() for x in (*line.times, *line.over)}
    assert set(INPUTS) <= used
    assert all(i.low <= i.value <= i.high for i in INPUTS.values())
    assert len({i.label for i in INPUTS.values()}) == len(INPUTS)


@pytest.mark.parametrize(
    "inputs, sentence",
    [
        ({"rate_5g": 1}, "unknown input of the cost 'rate_5g'"),
        ({"rate_4g": 0}, r"cost input rate_4g must lie in \[1, 1e\+07\], got 0"),
        ({"installs": float("nan")}, "must lie in"),
        ({"traffic": "free"}, "must be a number"),
    ],
)
def test_a_wrong_input_is_one_sentence(inputs, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        Prices(inputs)


@pytest.mark.parametrize("currency", ["", "dollars", "\n", 3])
def test_a_currency_is_a_few_characters(currency):
    with pytest.raises(InvalidInput, match="a currency is one to 4 characters"):
        Prices(currency=currency)


@pytest.mark.parametrize(
    "value, text",
    [(0, "$0.00"), (0.004, "below $0.01"), (4.956, "$4.96"), (99.99, "$99.99"), (1430, "$1,430")],
)
def test_money_as_people_read_it(value, text):
    assert money(value, "$") == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 ms"),
        (1e-6, "below 0.1 ms"),
        (0.0252, "25.2 ms"),
        (0.9999, "1.00 s"),
        (17.06, "17.1 s"),
        (101, "2 min"),
    ],
)
def test_short_times_as_people_read_them(seconds, text):
    assert words(units.short_time(seconds)) == text
