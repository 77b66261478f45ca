"""Draw the pictures of docs/steps.md: each step on a placeholder, before and after.

Run as `python docs/pictures/draw.py`; equal versions of qwenbuild and Pillow give equal files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwenbuild.images import contact_sheet, derive, normalise, placeholder_png
from qwenbuild.images.atlas import pack
from qwenbuild.model import Action

FOLDER = Path(__file__).parent
CELL = 150
Shown = tuple[str, bytes]


def placeholder(prompt: str, size: str, seed: int) -> bytes:
    """A placeholder picture."""
    return placeholder_png(Action("placeholder", "placeholder", prompt, size, seed))


SCENE = placeholder("A quiet harbour, morning light", "480*320", 1)
ICON = placeholder("Iron sword, solid #00ff00 background", "320*320", 3)
NARROW = derive(SCENE, [normalise("pad", {"all": 40, "color": "#ffffff"})], "image/png")


def made(data: bytes, kind: str, args: Any, **palettes: bytes) -> bytes:
    """The PNG that one step makes."""
    return derive(data, [normalise(kind, args)], "image/png", palettes=palettes)


def sheets() -> dict[str, list[Shown]]:
    """The sheet of each step: captions and pictures."""
    box = {"width": 200, "height": 200, "background": "#22242a"}
    return {
        "resize": [
            (f"fit: {fit}", made(SCENE, "resize", {**box, "fit": fit})) for fit in ("cover", "contain", "fill", "inside")
        ],
        "crop": [
            ("the picture", SCENE),
            ("box: [0, 0, 160, 160]", made(SCENE, "crop", {"box": [0, 0, 160, 160]})),
            ("ratio: 1:1", made(SCENE, "crop", {"ratio": "1:1"})),
            ("ratio: 1:1, left", made(SCENE, "crop", {"ratio": "1:1", "gravity": "left"})),
        ],
        "pad": [("the picture", SCENE), ("all: 40, color", NARROW)],
        "trim": [("the picture", NARROW), ("trim", made(NARROW, "trim", None))],
        "flip": [("the picture", SCENE), *((way, made(SCENE, "flip", way)) for way in ("horizontal", "vertical"))],
        "rotate": [("the picture", SCENE), ("90", made(SCENE, "rotate", 90)), ("12", made(SCENE, "rotate", 12))],
        "grayscale": [("the picture", SCENE), ("grayscale", made(SCENE, "grayscale", None))],
        "blur": [("the picture", SCENE), *((f"radius: {radius}", made(SCENE, "blur", radius)) for radius in (4, 16))],
        "quantize": [
            ("the picture", SCENE),
            ("colors: 4", made(SCENE, "quantize", {"colors": 4, "dither": False})),
            ("palette, dither", made(SCENE, "quantize", {"palette": "two"}, two=b"1b2530\nf2ead8\nc8553d\n")),
        ],
        "key_out": [("the picture", ICON), ("key_out", made(ICON, "key_out", {"color": "#00ff00"}))],
        "round": [("radius: 40", made(SCENE, "round", 40)), ("crop 1:1, percent: 50", disc())],
        "tile": [(f"cell: {cell}", made(SCENE, "tile", {"columns": 2, "rows": 2, "cell": cell})) for cell in (1, 2, 3, 4)],
        "format": [(f"jpeg, quality {quality}", jpeg(quality)) for quality in (90, 25, 5)],
    }


def disc() -> bytes:
    """The scene as a disc."""
    return made(made(SCENE, "crop", {"ratio": "1:1"}), "round", "50%")


def jpeg(quality: int) -> bytes:
    """The scene as a JPEG."""
    return derive(SCENE, [normalise("format", {"type": "jpeg", "quality": quality})], "image/jpeg")


def atlas() -> bytes:
    """A sheet of twelve icons."""
    words = ("Sword", "Shield", "Potion", "Scroll", "Bow", "Key", "Herb", "Scale", "Book", "Dagger", "Cloak", "Ring")
    steps = [normalise("key_out", {"color": "#00ff00"}), normalise("trim", None), normalise("resize", {"width": 80})]
    icons = []
    for seed, word in enumerate(words):
        icon = placeholder(f"{word}, solid #00ff00 background", "320*320", seed)
        icons.append((f"{word.lower()}.png", derive(icon, steps, "image/png")))
    sheet = pack(icons, {"padding": 4})[0].png
    return derive(sheet, [normalise("format", {"type": "webp", "quality": 60})], "image/webp")


def small(data: bytes) -> bytes:
    """At most 20 kB, for a page."""
    for colors in (96, 48, 24, 12):
        reduced = made(data, "quantize", {"colors": colors, "dither": False})
        if len(reduced) < 20_000:
            return reduced
    raise SystemExit("a picture of the docs is too large")


def main() -> None:
    """Write every picture."""
    for name, items in sheets().items():
        (FOLDER / f"{name}.png").write_bytes(small(contact_sheet(items, name, columns=4, cell=CELL)))
    (FOLDER / "atlas.webp").write_bytes(atlas())


if __name__ == "__main__":
    main()
