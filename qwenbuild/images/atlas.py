"""Pack many pictures into sheets with a JSON that game engines read (TexturePacker's hash format).

Knows no entry and no path: equal pictures with equal names and options give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import isqrt
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from qwenbuild.images.arguments import near, read_all, truth, whole

if TYPE_CHECKING:  # Pillow is imported where it draws: options are checked in every plan, sheets rarely made
    from PIL import Image

OPTIONS = {
    "padding": whole(0, 256, 2, "transparent pixels between pictures and at the sheet's edge"),
    "extrude": whole(0, 64, 0, "how often a picture's outermost pixels are repeated around it, against seams"),
    "trim": truth(False, "cut transparent borders off; the JSON says where they were"),
    "power_of_two": truth(False, "both sides of a sheet are powers of two"),
    "max_size": whole(16, 16384, 2048, "pixels of a sheet's longer side; what does not fit goes to another sheet"),
}
SCALES = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet and its JSON. `image` is its file's name, `scale` 1 or the 2 of `@2x`."""

    png: bytes
    json: bytes
    image: str
    scale: int


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A picture to place: cut to (left, top, width, height) of its own size, in pixels."""

    name: str
    image: Image.Image
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class _Placed:
    sprite: _Sprite
    x: int
    y: int


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The packer's options with every default: whole numbers, truth values, and `scales` as a list of whole numbers.

    `scales: [1, 2]` makes a second set of sheets named `@2x`; the pictures are what the greatest scale shows.
    Raises ValueError naming the option, what it takes, and the near miss.
    """
    names = [*OPTIONS, "scales"]
    for name in options:
        if name not in names:
            raise ValueError(f"an atlas has no option {name!r}{near(name, names)}; it takes {', '.join(names)}")
    scales = options.get("scales")
    scales = [1] if scales is None else scales
    if not isinstance(scales, (list, tuple)) or not scales or any(scale not in SCALES or scale is True for scale in scales):
        raise ValueError(f"atlas: scales must be a list of 1, 2, 3 or 4, got {scales!r}")
    values: dict[str, Any] = read_all("atlas", OPTIONS, {key: value for key, value in options.items() if key != "scales"})
    return {**values, "scales": sorted(set(scales))}


def sheet_names(image: str, scales: Sequence[int]) -> tuple[str, ...]:
    """The files that an atlas has at least: for each scale the first sheet and its JSON."""
    sheets = [_file(image, scale, 1) for scale in scales]
    return tuple(name for sheet in sheets for name in (sheet, json_name(sheet)))


def json_name(image: str) -> str:
    """The JSON beside a sheet."""
    return str(PurePosixPath(image).with_suffix(".json"))


def pack(items: Sequence[tuple[str, bytes]], options: Mapping[str, Any], image: str = "atlas.png") -> tuple[Sheet, ...]:
    """Sheets that hold every picture of `items` (name, bytes); `image` names the first sheet's file.

    Further sheets are `atlas-2.png`, and `atlas@2x.png` for a scale. Placement depends on sizes and names alone, not on
    the order of `items`. Raises ValueError when a name comes twice or a picture does not fit `max_size`.
    """
    values = check_options(options)
    names = [name for name, _ in items]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"two pictures of the atlas are named {twice!r}")
    if not items:
        raise ValueError("the atlas holds no picture")
    pictures = [(name, _opened(name, data)) for name, data in sorted(items)]
    return tuple(sheet for scale in values["scales"] for sheet in _sheets(pictures, values, scale, image))


def _opened(name: str, data: bytes) -> Image.Image:
    from qwenbuild.images.decoder import decode
    from qwenbuild.images.pixels import plain

    try:
        return plain(decode(data)).convert("RGBA")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _sheets(pictures: list[tuple[str, Image.Image]], values: Mapping[str, Any], scale: int, image: str) -> Iterator[Sheet]:
    most = values["scales"][-1]
    scaled = [(name, _scaled(picture, scale, most)) for name, picture in pictures]
    sprites = [_sprite(name, picture, values["trim"]) for name, picture in scaled]
    sizes = {name: picture.size for name, picture in scaled}
    pages = list(_pages(sprites, values))
    names = [_file(image, scale, page) for page in range(1, len(pages) + 1)]
    for name, (width, height, placed) in zip(names, pages, strict=True):
        others = [json_name(other) for other in names if other != name]
        record = _record(name, width, height, placed, sizes, scale, others)
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        yield Sheet(_drawn(width, height, placed, values["extrude"]), text.encode(), name, scale)


def _scaled(picture: Image.Image, scale: int, most: int) -> Image.Image:
    if scale == most:
        return picture
    from PIL import Image

    size = tuple(max((2 * side * scale + most) // (2 * most), 1) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _file(image: str, scale: int, page: int) -> str:
    path = PurePosixPath(image)
    number = f"-{page}" if page > 1 else ""
    return f"{path.stem}{number}{f'@{scale}x' if scale > 1 else ''}{path.suffix}"


def _sprite(name: str, picture: Image.Image, trim: bool) -> _Sprite:
    box = picture.getchannel("A").getbbox() if trim else None
    if box is None:
        return _Sprite(name, picture, 0, 0)
    return _Sprite(name, picture.crop(box), box[0], box[1])


def _pages(sprites: list[_Sprite], values: Mapping[str, Any]) -> Iterator[tuple[int, int, list[_Placed]]]:
    """Width, height and placement of each sheet."""
    around, most = 2 * values["extrude"] + values["padding"], values["max_size"]
    for sprite in sprites:
        if max(sprite.image.size) + around + values["padding"] > most:
            raise ValueError(
                f"{sprite.name} is {sprite.image.width}x{sprite.image.height} pixels, too large for max_size {most}"
            )
    rest = sorted(sprites, key=lambda sprite: (-sprite.image.height, -sprite.image.width, sprite.name))
    while rest:
        width, height, placed = _best(rest, values)
        yield width, height, placed
        done = {item.sprite.name for item in placed}
        rest = [sprite for sprite in rest if sprite.name not in done]


def _best(sprites: list[_Sprite], values: Mapping[str, Any]) -> tuple[int, int, list[_Placed]]:
    """The smallest sheet that holds all, or a full one of the largest size."""
    most = _power_below(values["max_size"]) if values["power_of_two"] else values["max_size"]
    sheets = []
    for width in _widths(sprites, values, most):
        height, placed = _place(sprites, width, most, values)
        if len(placed) == len(sprites):
            height = _power_above(height) if values["power_of_two"] else height
            sheets.append((width * height, max(width, height), width, height, placed))
    if not sheets:
        height, placed = _place(sprites, most, most, values)
        return most, _power_above(height) if values["power_of_two"] else height, placed
    _, _, width, height, placed = min(sheets, key=lambda item: item[:3])
    return width, height, placed


def _widths(sprites: list[_Sprite], values: Mapping[str, Any], most: int) -> list[int]:
    around, padding = 2 * values["extrude"] + values["padding"], values["padding"]
    least = max(sprite.image.width for sprite in sprites) + around + padding
    if values["power_of_two"]:
        powers = [1 << place for place in range(4, 15)]
        return [power for power in powers if least <= power <= most]
    side = isqrt(sum((sprite.image.width + around) * (sprite.image.height + around) for sprite in sprites)) + padding
    return sorted({min(max(side * percent // 100, least), most) for percent in range(90, 200, 6)})


def _power_above(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()


def _power_below(number: int) -> int:
    return 1 << number.bit_length() - 1


def _place(sprites: list[_Sprite], width: int, most: int, values: Mapping[str, Any]) -> tuple[int, list[_Placed]]:
    """Each picture at the lowest place of the skyline, the leftmost of equals; the height used and what was placed."""
    extrude, padding = values["extrude"], values["padding"]
    skyline = [(padding, padding, width - padding)]  # (left, floor, width), from left to right
    placed, used = [], 0
    for sprite in sprites:
        wide, tall = sprite.image.width + 2 * extrude + padding, sprite.image.height + 2 * extrude + padding
        spot = _lowest(skyline, wide, width, most - tall)
        if spot is None:
            continue
        floor, left = spot
        placed.append(_Placed(sprite, left + extrude, floor + extrude))
        skyline = _raised(skyline, left, wide, floor + tall)
        used = max(used, floor + tall)
    return used, placed


def _lowest(skyline: list[tuple[int, int, int]], wide: int, width: int, ceiling: int) -> tuple[int, int] | None:
    best: tuple[int, int] | None = None
    for place, (left, floor, _) in enumerate(skyline):
        if left + wide > width:
            break
        top = floor
        for other_left, other_floor, _ in skyline[place + 1 :]:
            if other_left >= left + wide:
                break
            top = max(top, other_floor)
        if top <= ceiling and (best is None or (top, left) < best):
            best = (top, left)
    return best


def _raised(skyline: list[tuple[int, int, int]], left: int, wide: int, top: int) -> list[tuple[int, int, int]]:
    right = left + wide
    raised = []
    for start, floor, length in skyline:
        end = start + length
        if start < left:
            raised.append((start, floor, min(end, left) - start))
        if start <= left < end or (not raised and start >= left):
            raised.append((left, top, wide))
        if end > right:
            raised.append((max(start, right), floor, end - max(start, right)))
    return raised


def _drawn(width: int, height: int, placed: list[_Placed], extrude: int) -> bytes:
    from PIL import Image

    sheet = Image.new("RGBA", (width, height))
    for item in placed:
        image = item.sprite.image
        if extrude:
            sheet.paste(_extruded(image, extrude), (item.x - extrude, item.y - extrude))
        sheet.paste(image, (item.x, item.y))
    out = BytesIO()
    sheet.save(out, "PNG", compress_level=6, optimize=False)
    return out.getvalue()


def _extruded(image: Image.Image, by: int) -> Image.Image:
    """The picture with its outermost pixels repeated."""
    from PIL import Image

    width, height = image.size
    columns = [min(max(x - by, 0), width - 1) for x in range(width + 2 * by)]
    wide = Image.new("RGBA", (width + 2 * by, height))
    wide.paste(image, (by, 0))
    for x in (*range(by), *range(width + by, width + 2 * by)):
        wide.paste(image.crop((columns[x], 0, columns[x] + 1, height)), (x, 0))
    tall = Image.new("RGBA", (width + 2 * by, height + 2 * by))
    tall.paste(wide, (0, by))
    for y in range(by):
        tall.paste(wide.crop((0, 0, wide.width, 1)), (0, y))
        tall.paste(wide.crop((0, height - 1, wide.width, height)), (0, height + by + y))
    return tall


def _record(
    image: str,
    width: int,
    height: int,
    placed: list[_Placed],
    sizes: Mapping[str, tuple[int, int]],
    scale: int,
    others: list[str],
) -> dict[str, Any]:
    frames = {
        item.sprite.name: _frame(item, sizes[item.sprite.name]) for item in sorted(placed, key=lambda item: item.sprite.name)
    }
    meta: dict[str, Any] = {
        "app": "qwenbuild",
        "version": "1.0",
        "image": image,
        "format": "RGBA8888",
        "size": {"w": width, "h": height},
        "scale": str(scale),
    }
    if others:
        meta["related_multi_packs"] = others
    return {"frames": frames, "meta": meta}


def _frame(item: _Placed, size: tuple[int, int]) -> dict[str, Any]:
    width, height = item.sprite.image.size
    return {
        "frame": {"x": item.x, "y": item.y, "w": width, "h": height},
        "rotated": False,
        "trimmed": (width, height) != size,
        "spriteSourceSize": {"x": item.sprite.left, "y": item.sprite.top, "w": width, "h": height},
        "sourceSize": {"w": size[0], "h": size[1]},
    }
