"""What a file costs to send and to keep: arithmetic on figures that people put in themselves.

Each line is the file's bytes, times some inputs, over some others; so its formula can be shown, and
be worked out again by a report in a browser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import units
from .errors import InvalidInput
from .language import marked, tr
from .recipe import number, one_of

CURRENCY = 4  # characters, at most


@dataclass(frozen=True)
class Input:
    """A figure that is not measured, but put in. word: what formulas call it; value: the round one
    that it starts from; low, high: its limits.
    """

    title: str
    unit: str
    word: str
    value: float
    low: float
    high: float

    @property
    def label(self) -> str:
        title = tr(self.title)
        return tr("{title}, {unit}", title=title, unit=tr(self.unit)) if self.unit else title


@dataclass(frozen=True)
class Line:
    """One cost of a file. unit: bytes, seconds or money; times, over: inputs and plain numbers."""

    title: str
    unit: str
    times: tuple[str | float, ...] = ()
    over: tuple[str | float, ...] = ()

    def value(self, size: int, inputs: Mapping[str, float]) -> float:
        """size: of the file in bytes. Returns bytes, seconds or money."""
        return size * _product(self.times, inputs) / _product(self.over, inputs)

    @property
    def formula(self) -> str:
        """`8 × bytes ÷ (1,000 × rate of 4G)`."""
        above = [_word(x) for x in self.times]
        above.insert(1 if self.times and self.times[0] == BITS else 0, tr("bytes"))
        below = " × ".join(map(_word, self.over))
        below = f"({below})" if len(self.over) > 1 else below
        return " ÷ ".join(filter(None, [" × ".join(above), below]))


def _product(of: tuple[str | float, ...], inputs: Mapping[str, float]) -> float:
    return math.prod(inputs[x] if isinstance(x, str) else x for x in of)


def _word(x: str | float) -> str:
    return tr(INPUTS[x].word) if isinstance(x, str) else f"{x:,.0f}"


BITS, KILO, GIGA = 8, 1_000, 1_000_000_000
INPUTS: dict[str, Input] = {
    "rate_4g": Input("4G", "kbit/s", marked("rate of 4G"), 20_000, 1, 1e7),
    "rate_3g": Input("3G", "kbit/s", marked("rate of 3G"), 2_000, 1, 1e7),
    "rate_ble": Input("Bluetooth LE", "kbit/s", marked("rate of Bluetooth LE"), 500, 0.1, 1e7),
    "rate_lora": Input("LoRa", "kbit/s", marked("rate of LoRa"), 5, 0.01, 1e7),
    "installs": Input(marked("Installs"), "", marked("installs"), 1_000_000, 1, 1e10),
    "downloads": Input(marked("Downloads of each"), "", marked("downloads of each"), 1, 0, 1e6),
    "traffic": Input(marked("Traffic"), marked("per GB"), marked("price of traffic"), 0.08, 0, 1e6),
    "storage": Input(marked("Storage"), marked("per GB"), marked("price of storage"), 0.1, 0, 1e6),
}
LINKS = tuple(key for key in INPUTS if key.startswith("rate_"))
LINES: dict[str, Line] = {
    "download": Line(marked("One download"), "bytes"),
    "time_4g": Line(marked("Time over 4G"), "seconds", (BITS,), (KILO, "rate_4g")),
    "time_3g": Line(marked("Time over 3G"), "seconds", (BITS,), (KILO, "rate_3g")),
    "time_ble": Line(marked("Time over Bluetooth LE"), "seconds", (BITS,), (KILO, "rate_ble")),
    "time_lora": Line(marked("Time over LoRa"), "seconds", (BITS,), (KILO, "rate_lora")),
    "traffic_bytes": Line(marked("Traffic of all installs"), "bytes", ("installs", "downloads")),
    "traffic_price": Line(
        marked("Price of that traffic"), "money", ("installs", "downloads", "traffic"), (GIGA,)
    ),
    "storage_bytes": Line(marked("Storage on all installs"), "bytes", ("installs",)),
    "storage_price": Line(
        marked("Price of that storage"), "money", ("installs", "storage"), (GIGA,)
    ),
}


@dataclass(frozen=True)
class Prices:
    """The inputs by name, those that are not named as they start; and what money is called."""

    inputs: Mapping[str, float] = field(default_factory=dict)
    currency: str = "$"

    def __post_init__(self) -> None:
        given = {key: self._checked(key, value) for key, value in self.inputs.items()}
        full = {key: given.get(key, known.value) for key, known in INPUTS.items()}
        object.__setattr__(self, "inputs", full)
        text = self.currency.strip() if isinstance(self.currency, str) else ""
        if not text or len(text) > CURRENCY or not text.isprintable():
            raise InvalidInput(
                "a currency is one to {most} characters, got {got!r}",
                most=CURRENCY,
                got=self.currency,
            )
        object.__setattr__(self, "currency", text)

    @staticmethod
    def _checked(key: str, value: object) -> float:
        known = INPUTS[one_of("input of the cost", key, INPUTS)]
        limits = dict(low=known.low, high=known.high, grain=1e-6)
        return number(f"cost input {key}", value, **limits, whole=False)

    def of(self, line: str, size: int) -> float:
        return LINES[line].value(size, self.inputs)

    def text(self, line: str, size: int) -> str:
        """What a line is for a file of so many bytes, as people read it."""
        return said(LINES[line].unit, self.of(line, size), self.currency)


def said(unit: str, value: float, currency: str) -> str:
    """A value in the unit of a line. report.js of the reports says the same."""
    if unit == "bytes":
        return units.size(value)
    if unit == "seconds":
        return units.short_time(value)
    return money(value, currency)


def money(value: float, currency: str) -> str:
    """`$1,430`, `$5.04`, `below $0.01`."""
    if 0 < value < 0.01:
        return tr("below {least}", least=money(0.01, currency))
    return f"{currency}{value:,.0f}" if value >= 100 else f"{currency}{value:.2f}"
