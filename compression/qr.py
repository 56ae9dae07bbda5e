"""A link as a QR code, for phones in a lecture hall."""

from __future__ import annotations

import segno

from .errors import InvalidInput

MOST = 1_200  # characters: more make squares that a phone at the back can't tell apart


def qr_svg(text: str) -> str:
    """An SVG of the code, dark on white whatever the theme, with the rim that readers need.

    Raises InvalidInput where the text is too long to be read from afar.
    """
    if len(text) > MOST:
        raise InvalidInput(
            "a link of {length} characters is too long for a QR code ({most})",
            length=len(text),
            most=MOST,
        )
    code = segno.make(text, error="m", micro=False)
    return code.svg_inline(scale=8, border=4, dark="#000000", light="#ffffff")
