"""Numbers as people read them: three digits, a no-break space before the unit, a real minus."""

from __future__ import annotations

from .language import tr

NBSP, MINUS = "\u00a0", "\u2212"


def _three_digits(value: float) -> str:
    text = f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
    if "e" in text:
        return f"{value:.0f}"
    digits = sum(c.isdigit() for c in text)
    whole = len(text.split(".")[0])
    return f"{value:.{max(0, 3 - whole)}f}" if digits < 3 or "." in text else text


def size(n: float, about: bool = False) -> str:
    """Bytes as B, kB or MB (1,000 each): 812 B, 42.3 kB, 1.72 MB. about: ≈ before an estimate."""
    if about:
        return f"≈ {size(n)}"
    for unit, scale in (("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if n < 999.5 * scale or unit == "GB":
            return f"{n:.0f}{NBSP}B" if scale == 1 else f"{_three_digits(n / scale)}{NBSP}{unit}"
    raise AssertionError


def against(n: float, other: float) -> str:
    """A size by another one: 21.4 % below, 0.8 % above."""
    more = n / other - 1
    share = percent(abs(more))
    return tr("{share} above", share=share) if more > 0 else tr("{share} below", share=share)


def quantity(n: float) -> str:
    """A count with k or M: 812, 43.1 k, 2.29 M."""
    for unit, scale in (("", 1), ("k", 1e3), ("M", 1e6)):
        if n < 999.5 * scale or unit == "M":
            return f"{n:.0f}" if scale == 1 else f"{_three_digits(n / scale)}{NBSP}{unit}"
    raise AssertionError


def grouped(n: int) -> str:
    """A whole count with narrow spaces: 53 240."""
    return f"{n:,}".replace(",", "\u202f")


def percent(share: float, digits: int = 1) -> str:
    """A share 0..1 as percent: 98.9 %."""
    return f"{100 * share:.{digits}f}{NBSP}%".replace("-", MINUS)


def points(difference: float, digits: int = 1) -> str:
    """A difference of shares as percentage points with its sign: −0.1 pt."""
    value = round(100 * difference, digits)
    sign = "+" if value > 0 else MINUS if value < 0 else "±"
    return f"{sign}{abs(value):.{digits}f}{NBSP}pt"


def times(ratio: float) -> str:
    """A ratio: 41×, 3.2×."""
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×"


def duration(seconds: float) -> str:
    """Seconds as people say it: 8 s, 3 min, 1 h 20 min."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))}{NBSP}s"
    minutes = round(seconds / 60)
    return (
        f"{minutes}{NBSP}min"
        if minutes < 100
        else f"{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min"
    )


def short_time(seconds: float) -> str:
    """Seconds that may be few: below 0.1 ms, 25.2 ms, 1.30 s, 2 min."""
    if seconds < 1e-4:
        return tr("below {least}", least=milliseconds(0.1)) if seconds > 0 else f"0{NBSP}ms"
    if seconds < 0.9995:
        return f"{_three_digits(1000 * seconds)}{NBSP}ms"
    return f"{_three_digits(seconds)}{NBSP}s" if seconds < 99.5 else duration(seconds)


def milliseconds(ms: float) -> str:
    """As it was measured: 0.0556 ms, 25.2 ms, 1.3 s."""
    return f"{ms:.3g}{NBSP}ms" if ms < 999.5 else f"{ms / 1_000:.3g}{NBSP}s"
