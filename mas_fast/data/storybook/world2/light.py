"""Hour and weather of a picture: where the sun is, and what it does to every colour.

canvas = Canvas(256, light_of(sky))             # of the place
canvas.light = light_of(sky, feet)              # of a figure whose feet are at y = feet
"""

from __future__ import annotations

from dataclasses import dataclass

from mas_fast.data.storybook.canvas import Color, Light, mix, rgb, shade

HAZY = 0.56, 0.74  # y of feet: where things are haziest, and from where on they are not hazy


@dataclass(frozen=True)
class Sky:
    """The sky of a picture.

    Attributes:
        hour: "dawn", "day", "dusk" or "night".
        weather: "clear", "cloudy", "rain", "snowfall" or "fog".
        sun: where sun or moon stands, -1 (left) to 1 (right).
    """

    hour: str = "day"
    weather: str = "clear"
    sun: float = -0.6

    @property
    def dark(self) -> bool:
        """Whether lamps and windows are lit."""
        return self.hour == "night"

    @property
    def dim(self) -> bool:
        """Whether some windows are lit."""
        return self.hour in ("dusk", "night")

    @property
    def sunny(self) -> bool:
        """Whether sun or moon is seen, so that things have a lit side."""
        return self.weather in ("clear", "cloudy")


@dataclass(frozen=True)
class Palette:
    """The colours of an hour, as they are seen.

    Attributes:
        top: of the sky above.
        middle: of the sky half way to the horizon.
        low: of the sky at the horizon.
        haze: into which far things fade.
        lit: of a cloud's lit side.
        shaded: of a cloud's other side.
        gray: of a covered sky.
        sun: of what shines.
        tint: factor of the colours of things.
        land: factor of the colours of the landscape, on top of `tint`.
    """

    top: Color
    middle: Color
    low: Color
    haze: Color
    lit: Color
    shaded: Color
    gray: Color
    sun: Color
    tint: Color
    land: Color = (1, 1, 1)


def _palette(codes: str, tint: Color, land: Color = (1, 1, 1)) -> Palette:
    return Palette(*(rgb(code) for code in codes.split()), tint=tint, land=land)  # type: ignore[misc]


PALETTES = {
    "dawn": _palette("6d8fd0 f2b9be ffe6bd f2cdc6 fff0de d7a3ba d6c8cb fff3c9", (1, 0.94, 0.91),
                     (1, 0.95, 0.97)),
    "day": _palette("3f93dd 8fcbf2 e9f5f0 cfe4ee ffffff b7cfe6 ccd6dd fff0a8", (1, 1, 1)),
    "dusk": _palette("473f88 d76a80 ffc069 d98f98 ffc39b 8c5f95 a58c9c ffdf94", (1, 0.86, 0.79),
                     (0.92, 0.86, 0.9)),
    "night": _palette("0c1537 1b2f62 41609a 2f4a80 6d86b8 2c3f70 2c3956 fbf4d6", (0.68, 0.74, 0.95),
                      (0.72, 0.78, 0.8)),
}  # fmt: skip
FILTERS = {  # of the weather, on top of the hour's tint
    "clear": (1.0, 1.0, 1.0),
    "cloudy": (0.94, 0.95, 0.97),
    "rain": (0.86, 0.89, 0.93),
    "snowfall": (0.95, 0.97, 1.0),
    "fog": (0.97, 0.98, 0.98),
}
COVER = {"clear": 0.0, "cloudy": 0.45, "rain": 0.85, "snowfall": 0.75, "fog": 0.92}
LAMPLIT = (0.97, 0.87, 0.72)  # the tint of a room at night


def palette_of(sky: Sky) -> Palette:
    """Return the colours of the hour, grayer the worse the weather."""
    clear = PALETTES[sky.hour]
    gray = shade(clear.gray, -0.16) if sky.weather == "rain" else clear.gray
    cover = COVER[sky.weather]
    return Palette(
        top=mix(clear.top, shade(gray, -0.06), cover),
        middle=mix(clear.middle, gray, cover),
        low=mix(clear.low, shade(gray, 0.12), cover),
        haze=mix(clear.haze, shade(gray, 0.05), cover),
        lit=mix(clear.lit, gray, 0.5 * cover),
        shaded=mix(clear.shaded, shade(gray, -0.2), cover),
        gray=gray,
        sun=clear.sun,
        tint=product(clear.tint, FILTERS[sky.weather]),
        land=clear.land,
    )


def haze_of(y: float) -> float:
    """Return how much of a thing fades into the air, by the y of its feet: 0..0.4."""
    far, near = HAZY
    return 0.4 * min(max((near - y) / (near - far), 0.0), 1.0)


def light_of(sky: Sky, y: float = 1.0, indoors: bool = False) -> Light:
    """Return what hour and weather do to the colours of a figure.

    Args:
        sky: hour, weather and sun.
        y: y of its feet: farther things are hazier.
        indoors: whether it is in a room, where a lamp burns at night.

    Returns:
        The change of its colours.
    """
    if indoors:
        tint = LAMPLIT if sky.dark else mix((1, 1, 1), PALETTES[sky.hour].tint, 0.6)
        return Light(tint)
    palette = palette_of(sky)
    haze = haze_of(y)
    if sky.weather == "fog":
        haze = 0.2 + 0.8 * haze
    return Light(palette.tint, palette.haze, haze)


def product(a: Color, b: Color) -> Color:
    """Multiply colours: the light of b on a."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]
