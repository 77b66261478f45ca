"""Pictures drawn by code with known faults: look-alikes, strangers in a set, seams, painted transparency, borders, blur.

Does not know the checks that look for them; the same seed draws the same pictures.
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

SIDE = 320
Pixels = Image.Image
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Planted:
    """A picture's bytes, and whether it has the fault."""

    name: str
    data: bytes
    faulty: bool


def png(image: Pixels) -> bytes:
    """The picture as a file."""
    out = BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def jpeg(image: Pixels, quality: int) -> Pixels:
    """The picture as it comes back from a lossy file."""
    out = BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return Image.open(BytesIO(out.getvalue())).convert("RGB")


def palette(dice: random.Random, hue: float, spread: float = 0.08, low: float = 0.35, high: float = 0.8) -> list[Colour]:
    """Six colours around a hue, from dark to light."""
    colours = []
    for step in range(6):
        red, green, blue = colorsys.hsv_to_rgb(
            (hue + dice.uniform(-spread, spread)) % 1, dice.uniform(low, high), 0.25 + step * 0.13
        )
        colours.append((int(red * 255), int(green * 255), int(blue * 255)))
    return colours


def scene(dice: random.Random, colours: list[Colour], *, side: int = SIDE, wraps: bool = False) -> Pixels:
    """Some shapes with shading and grain over a ground; with `wraps` it can be laid beside itself."""
    image = Image.new("RGB", (side, side), colours[4])
    draw = ImageDraw.Draw(image)
    if not wraps:
        top, bottom = colours[5], colours[3]
        for y in range(side):
            mix = y / side
            draw.line([(0, y), (side, y)], tuple(int(a * (1 - mix) + b * mix) for a, b in zip(top, bottom, strict=True)))
    for _ in range(dice.randint(5, 11)):
        shape(dice, draw, colours, side, wraps)
    grain = Image.effect_noise((side, side), 14).convert("RGB")
    image = ImageChops.add(image, grain, scale=1, offset=-128)
    return image.filter(ImageFilter.GaussianBlur(0.6)) if not wraps else image


def icon(dice: random.Random) -> Pixels:
    """One thing of two or three parts in the middle of a ground that all icons share."""
    image = Image.new("RGB", (SIDE, SIDE), (236, 228, 206))
    draw, colours = ImageDraw.Draw(image), palette(dice, dice.random())
    for _ in range(dice.randint(2, 3)):
        size, tall = dice.randint(SIDE // 10, SIDE // 3), dice.randint(SIDE // 10, SIDE // 3)
        x, y = SIDE // 2 + dice.randint(-SIDE // 10, SIDE // 10), SIDE // 2 + dice.randint(-SIDE // 10, SIDE // 10)
        draw_part = dice.choice([draw.ellipse, draw.rectangle])
        draw_part([x - size, y - tall, x + size, y + tall], dice.choice(colours), dice.choice(colours), 4)
    return image


def shape(dice: random.Random, draw: ImageDraw.ImageDraw, colours: list[Colour], side: int, wraps: bool) -> None:
    """One shape somewhere."""
    size, x, y = dice.randint(side // 12, side // 3), dice.randint(0, side), dice.randint(0, side)
    kind, fill, line = dice.choice(["disc", "box", "star", "line"]), dice.choice(colours), dice.choice(colours)
    tall = dice.randint(size // 2, size)
    points = [(dice.uniform(-1, 1) * size, dice.uniform(-1, 1) * size) for _ in range(5)]
    for move_x in (-side, 0, side) if wraps else (0,):
        for move_y in (-side, 0, side) if wraps else (0,):
            left, top = x + move_x, y + move_y
            if kind == "disc":
                draw.ellipse([left - size, top - tall, left + size, top + tall], fill, line, 4)
            elif kind == "box":
                draw.rounded_rectangle([left - size, top - tall, left + size, top + tall], 8, fill, line, 4)
            elif kind == "star":
                draw.polygon([(left + px, top + py) for px, py in points], fill, line)
            else:
                draw.line([(left - size, top - tall), (left + size, top + tall)], line, 9)


def look_alike(dice: random.Random, image: Pixels) -> Pixels:
    """The same picture as another seed of a model that varies little would draw it: moved, lit, grained a little otherwise."""
    side = image.width
    shift = (dice.randint(-side // 40, side // 40), dice.randint(-side // 40, side // 40))
    margin = dice.randint(0, side // 40)
    image = ImageChops.offset(image, *shift).crop((margin, margin, side - margin, side - margin)).resize((side, side))
    image = ImageEnhance.Brightness(image).enhance(dice.uniform(0.96, 1.04))
    image = ImageEnhance.Color(image).enhance(dice.uniform(0.92, 1.08))
    small = ImageDraw.Draw(image)
    at = dice.randint(0, side), dice.randint(0, side)
    small.ellipse([at[0], at[1], at[0] + side // 16, at[1] + side // 16], tuple(dice.randint(40, 220) for _ in range(3)))
    return jpeg(image, dice.randint(70, 92))


def look_alikes(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` pictures of one style, of which `planted` are nearly an earlier one."""
    dice = random.Random(seed)
    grounds = [icon(dice) if number % 2 else scene(dice, palette(dice, 0.1)) for number in range(count - planted)]
    pictures = [Planted(f"own-{number:03}", png(image), False) for number, image in enumerate(grounds)]
    for number, image in enumerate(dice.sample(grounds, planted)):
        pictures.append(Planted(f"twin-{number:03}", png(look_alike(dice, image)), True))
    return pictures


def strangers(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` pictures of one palette, of which `planted` have other hues, are grey, or are glaring."""
    dice = random.Random(seed)
    pictures = []
    for number in range(count):
        faulty = number < planted
        hue, low, high = 0.58, 0.35, 0.7
        if faulty:
            hue, low, high = dice.choice([(0.02, 0.5, 0.9), (0.3, 0.5, 0.9), (0.58, 0.0, 0.04), (0.85, 0.6, 1.0)])
        pictures.append(Planted(f"{number:03}", png(scene(dice, palette(dice, hue, 0.05, low, high))), faulty))
    return pictures


def tiles(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` tiles, of which `planted` do not meet in one direction or in both."""
    dice = random.Random(seed)
    pictures = []
    for number in range(count):
        faulty = number < planted
        image = scene(dice, palette(dice, dice.random()), wraps=True)
        if faulty:
            ways = dice.choice([(1, 0), (0, 1), (1, 1)])
            cut = dice.randint(SIDE // 20, SIDE // 4)
            image = image.crop((0, 0, SIDE - cut * ways[0], SIDE - cut * ways[1])).resize((SIDE, SIDE))
            image = scene(dice, palette(dice, dice.random())) if number % 2 else image
        pictures.append(Planted(f"{number:03}", png(image if dice.random() < 0.5 else jpeg(image, 88)), faulty))
    return pictures


def painted(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` icons on plain, shaded or brick grounds, of which `planted` stand on painted squares of two greys."""
    dice = random.Random(seed)
    pictures = []
    for number in range(count):
        faulty = number < planted
        ground = squares(dice) if faulty else plain(dice)
        colours = palette(dice, dice.random())
        draw = ImageDraw.Draw(ground)
        for _ in range(dice.randint(2, 5)):
            size = dice.randint(SIDE // 10, SIDE // 4)
            x, y = dice.randint(SIDE // 4, 3 * SIDE // 4), dice.randint(SIDE // 4, 3 * SIDE // 4)
            draw.ellipse([x - size, y - size, x + size, y + size], dice.choice(colours), dice.choice(colours), 3)
        pictures.append(Planted(f"{number:03}", png(jpeg(ground, dice.randint(80, 95))), faulty))
    return pictures


def squares(dice: random.Random) -> Pixels:
    """Transparency as a model paints it: squares of two light or dark greys, with grain, not quite on a raster."""
    cell, light = dice.randint(8, 28), dice.randint(150, 255)
    dark, width = light - dice.randint(14, 60), SIDE + 64
    image = Image.new("RGB", (width, width), (light,) * 3)
    draw = ImageDraw.Draw(image)
    for y in range(0, width, cell):
        for x in range(0, width, cell):
            if (x // cell + y // cell) % 2:
                draw.rectangle([x, y, x + cell - 1, y + cell - 1], (dark,) * 3)
    image = image.resize((int(width * dice.uniform(0.95, 1.1)),) * 2, Image.Resampling.BICUBIC).crop((0, 0, SIDE, SIDE))
    return ImageChops.add(image, Image.effect_noise((SIDE, SIDE), 2).convert("RGB"), scale=1, offset=-128)


def plain(dice: random.Random) -> Pixels:
    """Grounds that are no painted transparency: one grey, a shading, bricks, stripes, a chessboard, noise."""
    kind, grey = dice.choice(["one", "shade", "bricks", "stripes", "chess", "noise"]), dice.randint(120, 240)
    image = Image.new("RGB", (SIDE, SIDE), (grey,) * 3)
    draw = ImageDraw.Draw(image)
    if kind == "shade":
        return Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    if kind == "bricks":
        for row, y in enumerate(range(0, SIDE, 20)):
            for x in range(-40 + 20 * (row % 2), SIDE, 40):
                draw.rectangle([x + 1, y + 1, x + 38, y + 18], (grey - dice.randint(20, 50),) * 3)
    if kind == "stripes":
        for x in range(0, SIDE, 16):
            draw.rectangle([x, 0, x + 7, SIDE], (grey - 40,) * 3)
    if kind == "chess":
        for y in range(0, SIDE, 40):
            for x in range(0, SIDE, 40):
                if (x + y) // 40 % 2:
                    draw.rectangle([x, y, x + 39, y + 39], (20, 20, 20))
    if kind == "noise":
        return Image.effect_noise((SIDE, SIDE), 40).convert("RGB")
    return image


def framed(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` full pictures, of which `planted` have bars or a frame."""
    dice = random.Random(seed)
    pictures = []
    for number in range(count):
        faulty, image = number < planted, scene(dice, palette(dice, dice.random()))
        if faulty:
            bar, shade = dice.randint(SIDE // 30, SIDE // 8), dice.choice([0, 255, 128])
            draw = ImageDraw.Draw(image)
            for box in dice.choice(
                [[(0, 0, SIDE, bar), (0, SIDE - bar, SIDE, SIDE)], [(0, 0, bar, SIDE)], [(0, 0, SIDE, bar)]]
            ):
                draw.rectangle(box, (shade,) * 3)
        pictures.append(Planted(f"{number:03}", png(jpeg(image, dice.randint(80, 95))), faulty))
    return pictures


def blurred(seed: int, count: int, planted: int) -> list[Planted]:
    """`count` sharp pictures, of which `planted` are out of focus."""
    dice = random.Random(seed)
    pictures = []
    for number in range(count):
        faulty, image = number < planted, scene(dice, palette(dice, dice.random()))
        image = image.filter(ImageFilter.GaussianBlur(dice.uniform(2, 5))) if faulty else image
        pictures.append(Planted(f"{number:03}", png(image), faulty))
    return pictures


SETS: dict[str, tuple[Callable[[int, int, int], list[Planted]], int, int]] = {
    "near_duplicate": (look_alikes, 400, 40),
    "palette": (strangers, 200, 20),
    "outlier": (strangers, 200, 20),
    "seam": (tiles, 200, 20),
    "checkerboard": (painted, 200, 20),
    "border": (framed, 200, 20),
    "sharpness": (blurred, 200, 20),
}
"""By check: what draws the pictures, how many, and how many of them are faulty."""
