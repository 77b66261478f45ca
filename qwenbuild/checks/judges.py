"""What the built-in checks find in pixels, each a pure function; those of a set compare looks that were taken before.

Knows no file and no cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from qwenbuild.checks.check import Judge, Measurement, Parameters
from qwenbuild.images import features
from qwenbuild.images.measures import DecodedPicture

Look = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One picture of a set: the entry's id, the picture's digest, and its look."""

    id: str
    digest: str
    look: Look


def look_at(data: bytes) -> Look:
    """What a picture is compared by. Raises ValueError when it cannot be decoded."""
    return features.look(DecodedPicture(data).image)


# ---------------------------------------------------------------- one picture


def _thousandths(text: str) -> int:
    whole, _, digits = text.partition(".")
    return int(whole) * 1000 + int(f"{digits:0<3}"[:3])


def _share(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03}".rstrip("0").rstrip(".") if thousandths else "0"


def palette(picture: DecodedPicture, parameters: Parameters) -> Measurement:
    """The share of the opaque pixels that are near one of the colours."""
    return _of_colours(picture, parameters, parameters["colours"].split(","))


def _of_colours(picture: DecodedPicture, parameters: Parameters, colours: Sequence[str]) -> Measurement:
    share, strange = features.share_within(picture.image, colours, parameters["within"])
    fault = ""
    if share < _thousandths(parameters["min"]):
        fault = f"{_share(share)} of it is within ΔE {parameters['within']} of the palette, expected {parameters['min']}"
        fault += f"; the rest is mostly {', '.join(strange)}" if strange else ""
    return Measurement(fault, _share(share), parameters["min"], {"colours": list(colours), "others": strange, "score": share})


def border(picture: DecodedPicture, parameters: Parameters) -> Measurement:
    """The widest one-colour band at a side."""
    borders, image = features.borders(picture.image), picture.image
    bands = {"left": borders.left, "top": borders.top, "right": borders.right, "bottom": borders.bottom}
    shares = {side: band * 1000 // (image.width if side in ("left", "right") else image.height) for side, band in bands.items()}
    side = max(shares, key=lambda name: shares[name])
    share, most = shares[side], _thousandths(parameters["max"])
    fault = (
        f"its {side} border is {bands[side]} pixels of one colour, {_share(share)} of the side, expected {parameters['max']}"
    )
    return Measurement(fault if share > most else "", _share(share), parameters["max"], {**bands, "score": 1000 - share})


def seam(picture: DecodedPicture, parameters: Parameters) -> Measurement:
    """The step across the edge when the picture is tiled."""
    across, down = features.seams(picture.image)
    worst, image = max(across, down), picture.image
    hundredths = _thousandths(parameters["max"]) // 10
    words = [name for name, step in (("left and right", across), ("top and bottom", down)) if step > hundredths]
    measured = f"{worst // 100}.{worst % 100:02}"
    fault = f"tiled, a seam shows where {' and where '.join(words)} meet: the step stands out {measured} times as much as"
    fault += f" those inside, expected {parameters['max']}"
    boxes = [[image.width - 1, 0, 1, image.height]] if across > hundredths else []
    boxes += [[0, image.height - 1, image.width, 1]] if down > hundredths else []
    return Measurement(fault if words else "", measured, parameters["max"], {"boxes": boxes, "score": max(0, 1000 - worst)})


def checkerboard(picture: DecodedPicture, parameters: Parameters) -> Measurement:
    """Squares of two greys that stand for transparency."""
    pattern = features.checkerboard(picture.image)
    left, top, right, bottom = pattern.box
    fault = f"{_share(pattern.share)} of it is painted as transparency, in squares of {pattern.square} pixels"
    failed = pattern.share > _thousandths(parameters["max"])
    box = [left, top, right - left, bottom - top]
    evidence: dict[str, Any] = {"boxes": [box], "square": pattern.square} if failed else {}
    evidence["score"] = 1000 - pattern.share
    return Measurement(fault if failed else "", _share(pattern.share), parameters["max"], evidence)


def sharpness(picture: DecodedPicture, parameters: Parameters) -> Measurement:
    """The variance of the Laplacian."""
    value, least = features.sharpness(picture.image), parameters["min"]
    fault = f"its sharpness is {value}, expected {least}" if value < least else ""
    return Measurement(fault, str(value), str(least), {"score": min(1000, value)})


JUDGES: Mapping[str, Judge] = {
    "palette": palette,
    "seam": seam,
    "border": border,
    "checkerboard": checkerboard,
    "sharpness": sharpness,
}
"""By name, for one picture."""

# ---------------------------------------------------------------- a set of pictures


MOST_BITS = 36
"""Of the 128 bits of two alike pictures' hashes at most so many differ: what is farther apart is not looked at twice."""


FAR = 3
"""Times the limit: how far apart two pictures are is not worth knowing beyond."""


def near_duplicate(members: Sequence[Member], _: Member, parameters: Parameters) -> dict[str, Measurement]:
    """Each picture against those before it; the nearest one is named."""
    limit = _thousandths(parameters["distance"]) // 100
    hashes = [int(member.look["hash"], 16) for member in members]
    thumbs = [bytes.fromhex(member.look["thumb"]) for member in members]
    coarse = [features.coarse(thumb) for thumb in thumbs]
    measurements = {}
    for at, member in enumerate(members):
        nearest, other = FAR * limit + 1, -1
        for before in range(at):
            if (hashes[before] ^ hashes[at]).bit_count() > MOST_BITS:
                continue
            if features.mean_distance(coarse[before], coarse[at]) < nearest:
                distance = features.mean_distance(thumbs[before], thumbs[at])
                nearest, other = (distance, before) if distance < nearest else (nearest, other)
        measurements[member.id] = _alike((nearest, other) if other >= 0 else None, limit, members, parameters)
    return measurements


def _alike(nearest: tuple[int, int] | None, limit: int, members: Sequence[Member], parameters: Parameters) -> Measurement:
    if nearest is None:
        return Measurement("", "", parameters["distance"])
    distance, before = nearest
    measured, other = f"{distance // 10}.{distance % 10}", members[before].id
    fault = f"it looks like {other}: they differ by {measured} of 255, expected more than {parameters['distance']}"
    return Measurement(fault if distance <= limit else "", measured, parameters["distance"], {"nearest": other})


FEWEST = 5
"""Pictures of which a set's style can be told."""
FLOOR = {"lightness": 400, "contrast": 300, "colour": 400, "yellow to blue": 500, "red to green": 500, "sharpness": 200}
"""The least usual distance of each: a set that is all alike would find an outlier in every grain."""


def outlier(members: Sequence[Member], _: Member, parameters: Parameters) -> dict[str, Measurement]:
    """Each picture's style against the middle of the set's: how many usual distances (1.4826 MAD) away, at the most."""
    if len(members) < FEWEST:
        return {member.id: Measurement("", "", parameters["limit"], {"set": len(members)}) for member in members}
    styles = [member.look["style"] for member in members]
    middles = {name: median_low([style[name] for style in styles]) for name in FLOOR}
    usual = {
        name: max(median_low([abs(style[name] - middles[name]) for style in styles]) * 14826 // 10000, least)
        for name, least in FLOOR.items()
    }
    return {member.id: _fallen_out(member.look["style"], middles, usual, parameters) for member in members}


def _fallen_out(style: Look, middles: Look, usual: Look, parameters: Parameters) -> Measurement:
    distances = {name: abs(style[name] - middles[name]) * 10 // usual[name] for name in FLOOR}
    name = max(FLOOR, key=lambda each: distances[each])
    measured = f"{distances[name] // 10}.{distances[name] % 10}"
    fault = f"it falls out of its set: its {name} is {style[name] // 100}, the set's middle {middles[name] // 100}"
    fault += f", {measured} usual distances away, expected at most {parameters['limit']}"
    failed = distances[name] > _thousandths(parameters["limit"]) // 100
    return Measurement(fault if failed else "", measured, parameters["limit"], {"by": name})


def likeness(members: Sequence[Member], anchor: Member, parameters: Parameters) -> dict[str, Measurement]:
    """Each picture against the anchor's."""
    return {member.id: _like(member, anchor, parameters) for member in members}


def _like(member: Member, anchor: Member, parameters: Parameters) -> Measurement:
    """The mean of how much of the structure (hash) and of the colours at their places (thumb) is the anchor's."""
    structure = max(0, 1000 - features.hash_distance(member.look["hash"], anchor.look["hash"]) * 1000 // 64)
    colour = max(
        0, 1000 - features.mean_distance(bytes.fromhex(member.look["thumb"]), bytes.fromhex(anchor.look["thumb"])) * 1000 // 640
    )
    both = (structure + colour) // 2
    fault = f"its likeness to {anchor.id} is {_share(both)}, expected {parameters['min']}"
    fault += f": structure {_share(structure)}, colours {_share(colour)}"
    evidence = {"anchor": anchor.id, "structure": _share(structure), "colours": _share(colour)}
    return Measurement(fault if both < _thousandths(parameters["min"]) else "", _share(both), parameters["min"], evidence)


SET_JUDGES: Mapping[str, Callable[..., Any]] = {"near_duplicate": near_duplicate, "outlier": outlier, "likeness": likeness}
"""By name, for all pictures of a set."""
