"""The colours that captions of both worlds name, and which of them things have."""

COLORS = {
    "red": "cf2a27",
    "orange": "ee8322",
    "yellow": "f3cf34",
    "green": "2e9b46",
    "blue": "2c63c9",
    "purple": "7d3fb0",
    "pink": "f08bb4",
    "brown": "80502c",
    "white": "f4f2ec",
    "gray": "8c9097",
    "black": "26262c",
}
COLOR_SYNONYMS = {"grey": "gray"}
PAINTED = ("red", "orange", "yellow", "green", "blue", "purple", "white")
COATS = ("brown", "white", "gray", "black")  # of animals
CLOTHES = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
