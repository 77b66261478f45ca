"""What each step does to the pixels: one function a step, from a picture and its arguments to a new picture.

Knows no file format and no manifest. Pictures are L, LA, RGB or RGBA here, eight bits a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from qwenbuild.images import plugin_steps
from qwenbuild.images.arguments import MAX_SIDE, rgba
from qwenbuild.images.palettes import read_palette
from qwenbuild.images.structure import MAX_PIXELS

Args = Mapping[str, Any]
Palettes = Mapping[str, bytes]

_FILTER = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_TURNS = {
    "90": Image.Transpose.ROTATE_270,
    "180": Image.Transpose.ROTATE_180,
    "270": Image.Transpose.ROTATE_90,
}


def plain(image: Image.Image) -> Image.Image:
    """Any decoded picture as L, LA, RGB or RGBA with eight bits a channel; transparency of palettes is kept."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return image.convert("I").point([min(value >> 8, 255) for value in range(65536)], "L")
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode in ("LA", "RGBA"):
        return image
    clear = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
    if image.mode in ("1", "L") and not clear:
        return image.convert("L")
    return image.convert("RGBA" if clear else "RGB")


def with_alpha(image: Image.Image) -> Image.Image:
    """The picture with an alpha channel, opaque when it had none."""
    return image if image.mode in ("LA", "RGBA") else image.convert("LA" if image.mode == "L" else "RGBA")


def coloured(image: Image.Image) -> Image.Image:
    """The picture as RGB or RGBA."""
    return image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode))


def alpha_share(image: Image.Image) -> float:
    """How much of the picture is opaque: the mean of its alpha, 0 to 1."""
    if image.mode not in ("LA", "RGBA"):
        return 1.0
    counts = image.getchannel("A").histogram()
    return sum(value * count for value, count in enumerate(counts)) / (255 * image.width * image.height)


def apply(image: Image.Image, kind: str, args: Args, palettes: Palettes) -> Image.Image:
    """One step's result. Raises ValueError with one sentence when the picture and the arguments do not go together."""
    if kind == "quantize":
        return _quantize(image, args, palettes)
    if kind in _STEPS:
        return _STEPS[kind](image, args)
    result = plain(plugin_steps.apply(image, kind, args))
    _bounded(kind, result.width, result.height)
    return result


def _bounded(kind: str, width: int, height: int) -> tuple[int, int]:
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise ValueError(f"{kind} would make a picture of {width}x{height} pixels, more than is allowed")
    return max(width, 1), max(height, 1)


def _rounded(amount: int, by: int) -> int:
    """A quotient rounded half up, at least 1."""
    return max((2 * amount + by) // (2 * by), 1)


def _resize(image: Image.Image, args: Args) -> Image.Image:
    width, height, fit = args["width"], args["height"], args["fit"]
    sampling = _FILTER[args["filter"]]
    own_width, own_height = image.size
    if not height:
        return _scaled(image, width, _rounded(own_height * width, own_width), sampling)
    if not width:
        return _scaled(image, _rounded(own_width * height, own_height), height, sampling)
    if fit == "fill":
        return _scaled(image, width, height, sampling)
    tall = own_width * height < own_height * width  # the picture is slimmer than the box
    by_height = tall if fit in ("contain", "inside") else not tall
    if by_height:
        scaled = _scaled(image, _rounded(own_width * height, own_height), height, sampling)
    else:
        scaled = _scaled(image, width, _rounded(own_height * width, own_width), sampling)
    if fit == "inside" or scaled.size == (width, height):
        return scaled
    return _placed(scaled, width, height, "center", args["background"])


def _scaled(image: Image.Image, width: int, height: int, sampling: Image.Resampling) -> Image.Image:
    """Scaled with premultiplied alpha, so that no colour of transparent pixels bleeds in."""
    return image.resize(_bounded("resize", width, height), sampling)


def _placed(image: Image.Image, width: int, height: int, gravity: str, background: str) -> Image.Image:
    """The picture on (or cut by) a sheet of the given size."""
    _bounded("this step", width, height)
    left, top = _offset(width - image.width, height - image.height, gravity)
    if image.width >= width and image.height >= height:
        return image.crop((-left, -top, width - left, height - top))
    colour = rgba(background)
    grey = image.mode in ("L", "LA") and colour[0] == colour[1] == colour[2]
    image = image if grey else coloured(image)
    image = with_alpha(image) if colour[3] < 255 else image
    ink = {"L": colour[:1], "LA": (colour[0], colour[3]), "RGB": colour[:3], "RGBA": colour}[image.mode]
    sheet = Image.new(image.mode, (width, height), ink)
    sheet.paste(image, (left, top))
    return sheet


def _offset(spare_x: int, spare_y: int, gravity: str) -> tuple[int, int]:
    left = 0 if "left" in gravity else spare_x if "right" in gravity else spare_x // 2
    top = 0 if "top" in gravity else spare_y if "bottom" in gravity else spare_y // 2
    return left, top


def _crop(image: Image.Image, args: Args) -> Image.Image:
    if args["ratio"]:
        across, down = (int(part) for part in args["ratio"].split(":"))
        width = min(image.width, max(image.height * across // down, 1))
        height = min(image.height, max(image.width * down // across, 1))
        left, top = _offset(image.width - width, image.height - height, args["gravity"])
    else:
        left, top, width, height = args["left"], args["top"], args["width"], args["height"]
    if left + width > image.width or top + height > image.height:
        raise ValueError(
            f"crop: the box [{left}, {top}, {width}, {height}] leaves the picture, which is {image.width}x{image.height} pixels"
        )
    return image.crop((left, top, left + width, top + height))


def _pad(image: Image.Image, args: Args) -> Image.Image:
    if args["all"]:
        width, height = image.width + 2 * args["all"], image.height + 2 * args["all"]
    else:
        width, height = args["width"] or image.width, args["height"] or image.height
    if width < image.width or height < image.height:
        raise ValueError(
            f"pad to {width}x{height}: the picture is already {image.width}x{image.height} pixels; crop or resize it"
        )
    return _placed(image, width, height, args["gravity"], args["color"])


def _trim(image: Image.Image, args: Args) -> Image.Image:
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema()[0] == 0:
        edge = image.getchannel("A").point([0] * (args["tolerance"] + 1) + [255] * (255 - args["tolerance"]))
    else:
        flat = image.convert("RGB")
        ground = Image.new("RGB", image.size, flat.getpixel((0, 0)))
        edge = _distance(flat, ground).point([0] * (args["tolerance"] + 1) + [255] * (255 - args["tolerance"]))
    box = edge.getbbox()
    if box is None:
        raise ValueError(f"trim: nothing is left; the whole picture is edge within tolerance {args['tolerance']}")
    return image.crop(box)


def _distance(one: Image.Image, other: Image.Image) -> Image.Image:
    """The greatest difference of a channel, pixel by pixel."""
    red, green, blue = ImageChops.difference(one, other).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _flip(image: Image.Image, args: Args) -> Image.Image:
    across = args["direction"] == "horizontal"
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT if across else Image.Transpose.FLIP_TOP_BOTTOM)


def _rotate(image: Image.Image, args: Args) -> Image.Image:
    degrees = float(args["degrees"]) % 360
    if degrees == 0:
        return image
    turn = _TURNS.get(format(degrees, "g"))
    if turn is not None:
        return image.transpose(turn)
    _bounded("rotate", image.width + image.height, image.width + image.height)
    turned = with_alpha(image).rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    return flattened(turned, args["background"]) if rgba(args["background"])[3] else turned


def flattened(image: Image.Image, background: str) -> Image.Image:
    """The picture laid on a colour; opaque when the colour is."""
    colour = rgba(background)
    sheet = Image.alpha_composite(Image.new("RGBA", image.size, colour), image.convert("RGBA"))
    return sheet if colour[3] < 255 else sheet.convert("RGB")


def _grayscale(image: Image.Image, args: Args) -> Image.Image:
    return image.convert("LA" if image.mode in ("LA", "RGBA") else "L")


def _blur(image: Image.Image, args: Args) -> Image.Image:
    """Blurred with premultiplied alpha, so that no colour of transparent pixels bleeds in."""
    weighed = {"LA": "La", "RGBA": "RGBa"}.get(image.mode, image.mode)
    return image.convert(weighed).filter(ImageFilter.GaussianBlur(args["radius"])).convert(image.mode)


def _quantize(image: Image.Image, args: Args, palettes: Palettes) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    flat = image.convert("RGB")
    dither = Image.Dither.FLOYDSTEINBERG if args["dither"] else Image.Dither.NONE
    if args["palette"]:
        if args["palette"] not in palettes:
            raise ValueError(f"quantize: the bytes of palette {args['palette']} are not at hand")
        sheet = Image.new("P", (1, 1))
        sheet.putpalette(_filled(read_palette(palettes[args["palette"]])))
    else:
        sheet = _visible(flat, alpha).quantize(args["colors"], Image.Quantize.MEDIANCUT, kmeans=1)
    reduced = flat.quantize(palette=sheet, dither=dither).convert("RGB")
    if alpha is None:
        return reduced
    return Image.merge("RGBA", (*reduced.split(), alpha))


def _visible(flat: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """The picture with its transparent pixels in the colour of a visible one, so that they do not use up the palette."""
    if alpha is None:
        return flat
    box = alpha.getbbox()
    if box is None:
        return flat
    seen = alpha.point([0] + [255] * 255)
    row = seen.crop((0, box[1], flat.width, box[1] + 1)).getbbox()
    ground = flat.getpixel((row[0] if row else 0, box[1]))
    return Image.composite(flat, Image.new("RGB", flat.size, ground), seen)


def _filled(colours: tuple[tuple[int, int, int], ...]) -> list[int]:
    """256 entries: the last colour repeated, because unused ones would otherwise count as black."""
    return [channel for place in range(256) for channel in colours[min(place, len(colours) - 1)]]


def _key_out(image: Image.Image, args: Args) -> Image.Image:
    key = rgba(args["color"])[:3]
    flat = image.convert("RGB")
    near, ramp = args["tolerance"], args["tolerance"] + 16
    table = [0 if d <= near else min((d - near) * 255 // ramp, 255) for d in range(256)]
    alpha = _distance(flat, Image.new("RGB", flat.size, key)).point(table)
    if args["despill"]:
        flat = _despilled(flat, alpha, key)
    if image.mode in ("LA", "RGBA"):
        alpha = ImageChops.multiply(alpha, image.getchannel("A"))
    keyed = Image.merge("RGBA", (*flat.split(), alpha))
    keyed = _cleared(keyed)
    share = alpha_share(keyed)
    if not float(args["alpha_min"]) <= share <= float(args["alpha_max"]):
        raise ValueError(
            f"key_out: {share:.1%} of the picture stays, expected {float(args['alpha_min']):.0%} to "
            f"{float(args['alpha_max']):.0%}; is its background really {args['color'][:7]}?"
        )
    return keyed


def _despilled(flat: Image.Image, alpha: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """Half-transparent pixels with the key's share of their colour taken out, and no more of its tint than of the rest."""
    rest = ImageChops.invert(alpha)
    mixed = [
        ImageChops.subtract(channel, rest.point([part * value // 255 for part in range(256)])) if value else channel
        for channel, value in zip(flat.split(), key, strict=True)
    ]
    unmixed = Image.merge("RGBa", (*mixed, alpha)).convert("RGBA").convert("RGB")
    return Image.composite(flat, _limited(unmixed, key), alpha.point([0] * 255 + [255]))


def _limited(image: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """The key's strong channels cut down to the strongest of the others; a grey key has none."""
    middle = (max(key) + min(key)) / 2
    channels = list(image.split())
    strong = [place for place in range(3) if key[place] > middle]
    others = [channel for place, channel in enumerate(channels) if place not in strong]
    if not strong or not others:
        return image
    ceiling = others[0] if len(others) == 1 else ImageChops.lighter(*others)
    for place in strong:
        channels[place] = ImageChops.darker(channels[place], ceiling)
    return Image.merge("RGB", channels)


def _cleared(image: Image.Image) -> Image.Image:
    """Wholly transparent pixels made black, so that nothing of the key is left to bleed in or to be stored."""
    seen = image.getchannel("A").point([0] + [255] * 255)
    return Image.composite(image, Image.new("RGBA", image.size), seen)


def _round(image: Image.Image, args: Args) -> Image.Image:
    shorter = min(image.size)
    radius = args["radius"] or shorter * args["percent"] // 100
    if 2 * radius > shorter:
        raise ValueError(f"round: radius {radius} is more than half of the shorter side, which is {shorter} pixels")
    image = with_alpha(image)
    mask = Image.new("L", image.size, 255)
    if radius:
        corner = Image.new("L", (radius * 4, radius * 4))
        ImageDraw.Draw(corner).ellipse((0, 0, radius * 8 - 1, radius * 8 - 1), fill=255)
        corner = corner.resize((radius, radius), Image.Resampling.BOX)
        right, bottom = image.width - radius, image.height - radius
        mirrored = corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for piece, place in ((corner, (0, 0)), (mirrored, (right, 0))):
            mask.paste(piece, place)
            mask.paste(piece.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (place[0], bottom))
    image = image.copy()
    image.putalpha(ImageChops.multiply(image.getchannel("A"), mask))
    return image


def _tile(image: Image.Image, args: Args) -> Image.Image:
    columns, rows = args["columns"], args["rows"]
    if image.width % columns or image.height % rows:
        raise ValueError(f"tile: {columns}x{rows} cells do not divide a picture of {image.width}x{image.height} pixels")
    width, height = image.width // columns, image.height // rows
    row, column = divmod(args["cell"] - 1, columns)
    return image.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))


_STEPS: Mapping[str, Callable[[Image.Image, Args], Image.Image]] = {
    "resize": _resize,
    "crop": _crop,
    "pad": _pad,
    "trim": _trim,
    "flip": _flip,
    "rotate": _rotate,
    "grayscale": _grayscale,
    "blur": _blur,
    "key_out": _key_out,
    "round": _round,
    "tile": _tile,
    "format": lambda image, args: image,
}
