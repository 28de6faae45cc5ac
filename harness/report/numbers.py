"""How numbers are printed: the same digits in every format of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from harness.stats.intervals import Interval
from harness.stats.paired import PairedTest

MISSING = "—"


@dataclass(frozen=True)
class Unit:
    """A power of ten with a name.

    Attributes:
        symbol: such as "M"; empty for plain counts.
        exponent: of ten.
    """

    symbol: str
    exponent: int

    @property
    def size(self) -> int:
        """How many of a plain count make one."""
        return int(10**self.exponent)

    def named(self, heading: str) -> str:
        """A column's heading with the unit in brackets."""
        return f"{heading} ({self.symbol})" if self.symbol else heading


PLAIN = Unit("", 0)
UNITS = (Unit("E", 18), Unit("P", 15), Unit("T", 12), Unit("G", 9), Unit("M", 6), Unit("k", 3))
_BY_SYMBOL = {unit.symbol: unit for unit in (*UNITS, PLAIN)}


def unit_for(values: Iterable[float | None]) -> Unit:
    """One unit for a whole column: the largest of which the largest value makes one (a half, for M and k).

    Half a million is 0.50 M: papers print small networks beside large ones in millions.
    """
    largest = max((value for value in values if value is not None), default=0)
    for unit in UNITS:
        if largest >= unit.size * (0.5 if unit.exponent <= 6 else 1):
            return unit
    return PLAIN


def count(value: float, unit: Unit) -> str:
    """A count in a unit: two decimals, more where fewer than two significant digits would be left."""
    if unit == PLAIN and float(value).is_integer():
        return f"{int(value)}"
    return _decimal(value / unit.size)


def printed_count(printed: str, unit: Unit) -> str:
    """A published count such as "313.47 M" in a unit, with neither digits lost nor digits made up."""
    digits, _, symbol = printed.partition(" ")
    return f"{Decimal(digits).scaleb(_BY_SYMBOL[symbol].exponent - unit.exponent):f}"


def as_printed(value: int, printed: str) -> str:
    """A count in the unit and with as many decimals as a published one such as "313.47 M"."""
    digits, _, symbol = printed.partition(" ")
    scaled = Decimal(value).scaleb(-_BY_SYMBOL[symbol].exponent)
    return f"{scaled.quantize(Decimal(digits), ROUND_HALF_UP)} {symbol}".rstrip()


def _decimal(value: float) -> str:
    if value == 0:
        return "0.00"
    # Rounding may carry into a higher digit (0.0996 → 0.10), so that the digits are counted after it.
    magnitude = math.floor(math.log10(abs(float(f"{value:.1e}"))))
    return f"{value:.{max(2, 1 - magnitude)}f}"


def ratio(value: float) -> str:
    """A reduction, such as "5.12×"."""
    return f"{_decimal(value)}×"


def percent(share: float, decimals: int = 2) -> str:
    """A share 0..1 in per cent, without the sign."""
    return f"{100 * share:.{decimals}f}"


def interval(shares: Interval) -> str:
    """A mean share in per cent with its half-width: "93.75 ± 0.21", or "93.75" for a single run."""
    if shares.half_width is None:
        return percent(shares.mean)
    return f"{percent(shares.mean)} ± {percent(shares.half_width)}"


def signed(value: float, decimals: int = 2) -> str:
    """A number that always shows its sign, with a true minus; nought has none."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "−") + text


def signed_interval(difference: Interval) -> str:
    """A difference of shares in percentage points: "+0.31 ± 0.40"."""
    text = signed(100 * difference.mean)
    return text if difference.half_width is None else f"{text} ± {percent(difference.half_width)}"


def probability(p: float | None) -> str:
    """A p-value: three decimals, "< 0.001" below, "—" where nothing was tested."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def detectable(test: PairedTest | None) -> str:
    """The smallest difference of shares that the seeds could have shown, in percentage points."""
    return MISSING if test is None or test.detectable is None else percent(test.detectable)


def plain(value: object) -> str:
    """A parameter's value as short as it can be said: 1e-4 rather than 0.0001."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value != 0 and (abs(value) < 1e-2 or abs(value) >= 1e6):
        digits, _, exponent = f"{value:.6e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:g}"


def time_unit(seconds: Iterable[float | None]) -> tuple[str, float]:
    """The unit of a column of durations: ("s", 1.0), ("min", 60.0) or ("h", 3600.0)."""
    largest = max((value for value in seconds if value is not None), default=0.0)
    if largest >= 2 * 3600:
        return "h", 3600.0
    return ("min", 60.0) if largest >= 120 else ("s", 1.0)
