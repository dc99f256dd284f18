"""Lines of the words of captions."""

import unicodedata

WORDS = [
    "a",
    "red",
    "house",
    "beside",
    "lake",
    "Elephant",
    "walks",
    "빨간",
    "집",
    "🏠",
    "Ça",
    "слон",
]
LINES = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS]


def lower_nfc(text: str) -> str:
    """Character by character: Python's lower() of a word writes a last sigma in another way."""
    return "".join(map(str.lower, unicodedata.normalize("NFC", text)))
