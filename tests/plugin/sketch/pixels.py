"""The step and the check: imported when a file is made or judged."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image

from qwenbuild.images import CheckFinding

BROWN = {"warm": (112, 66, 20), "cold": (94, 88, 72)}


def sepia(image: Image.Image, args: Mapping[str, Any]) -> Image.Image:
    """The picture in shades of brown."""
    grey = image.convert("L")
    brown = Image.merge("RGB", [grey.point([value * top // 112 for value in range(256)]) for top in BROWN[args["shade"]]])
    return Image.blend(image.convert("RGB"), brown, args["percent"] / 100)


def darkest(data: bytes, least: int) -> CheckFinding:
    """Whether no pixel is darker than `least`."""
    low, _ = Image.open(BytesIO(data)).convert("L").getextrema()
    fault = f"a pixel is as dark as {low}, expected at least {least}" if low < least else ""
    return CheckFinding(fault, measured=str(low), evidence={"score": min(1000, low * 4)})
