"""What DashScope accepts: its image models and their rules, as the vendor and third parties describe them (November 2026).

Knows nothing of tasks or time. Written apart from qwenbuild's own model table, so that one checks the other.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwenbuild.emulator.lanes import EmulatedPace

FIVE = ("1664*928", "1472*1140", "1328*1328", "1140*1472", "928*1664")
LATER = ("1664*928", "1472*1104", "1328*1328", "1104*1472", "928*1664")
SIZE = re.compile(r"([1-9]\d{0,4})\*([1-9]\d{0,4})")
TWO_A_SECOND = EmulatedPace(2, 1.0, 2)
TWO_A_MINUTE = EmulatedPace(2, 60.0, 2)
FIVE_A_MINUTE = EmulatedPace(5, 60.0, 2)
MAX_SEED = 2147483647


class RefusedField(Exception):
    """A field that is refused, in the server's words; `code` is the vendor's."""

    def __init__(self, message: str, code: str = "InvalidParameter") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class EmulatedModel:
    """One model: its calls (`sync`, `text2image`, `image-generation`) and limits.

    `sizes` is the list of what it draws, empty for a free area; `images` the least and most input images; `never` are
    parameters that its page does not have. That they are refused is ours: it shows a client that sends them.
    """

    id: str
    calls: tuple[str, ...]
    pace: EmulatedPace = TWO_A_SECOND
    sizes: tuple[str, ...] = ()
    default_size: str = "1328*1328"
    max_n: int = 1
    default_n: int = 1
    images: tuple[int, int] = (0, 0)
    cut_prompt: int | None = 800
    extend: bool = True
    negative: bool = True
    sides: bool = False
    """Edit models: each side 512 to 2048, rounded to a multiple of 16."""
    area: tuple[int, int] = (512 * 512, 2048 * 2048)
    area_with_images: tuple[int, int] | None = None
    never: tuple[str, ...] = ()


FIRST = ("sync", "text2image")
SYNC = ("sync",)
THIRD = ("sync", "image-generation")


def _models() -> list[EmulatedModel]:
    both = tuple(dict.fromkeys(FIVE + LATER))
    free = {"default_size": "2048*2048", "max_n": 6, "images": (0, 3), "cut_prompt": None}
    later = {"sizes": LATER, "default_size": "1664*928", "cut_prompt": None}
    edit = {"images": (1, 3), "default_size": "1024*1024"}
    wan = {
        **free, "max_n": 4, "default_n": 4, "images": (0, 9), "cut_prompt": 5000, "area": (768**2, 2048**2),
        "area_with_images": (768**2, 2048**2), "extend": False, "never": ("negative_prompt", "prompt_extend"),
    }  # fmt: skip
    groups: list[tuple[str, tuple[str, ...], EmulatedPace, dict[str, Any]]] = [
        ("qwen-image-plus qwen-image", FIRST, TWO_A_SECOND, {"sizes": both}),
        ("qwen-image-plus-2026-01-09", SYNC, TWO_A_SECOND, later),
        ("qwen-image-max qwen-image-max-2025-12-30", SYNC, TWO_A_MINUTE, later),
        ("qwen-image-2.0 qwen-image-2.0-2026-03-03", SYNC, TWO_A_SECOND, free),
        ("qwen-image-2.0-pro qwen-image-2.0-pro-2026-03-03", SYNC, TWO_A_MINUTE, free),
        ("qwen-image-2.0-pro-2026-04-22 qwen-image-2.0-pro-2026-06-22", SYNC, TWO_A_MINUTE, free),
        ("qwen-image-2.1-pro qwen-image-2.1-turbo", SYNC, TWO_A_MINUTE, {**free, "images": (0, 10), "negative": False}),
        ("qwen-image-3.0 qwen-image-3.0-pro", THIRD, FIVE_A_MINUTE, free),
        ("qwen-image-edit", SYNC, TWO_A_SECOND, edit),
        ("qwen-image-edit-plus", SYNC, TWO_A_SECOND, {**edit, "max_n": 6, "sides": True}),
        ("qwen-image-edit-plus-2025-10-30", SYNC, TWO_A_SECOND, {**edit, "max_n": 6, "sides": True}),
        ("qwen-image-edit-plus-2025-12-15", SYNC, TWO_A_SECOND, {**edit, "max_n": 6, "sides": True}),
        ("qwen-image-edit-max qwen-image-edit-max-2026-01-16", SYNC, TWO_A_MINUTE, {**edit, "max_n": 6, "sides": True}),
        ("wan2.7-image", THIRD, TWO_A_MINUTE, wan),
        ("wan2.7-image-pro", THIRD, TWO_A_MINUTE, {**wan, "area": (768**2, 4096**2)}),
        ("z-image-turbo", SYNC, TWO_A_SECOND, {"default_size": "1024*1536", "extend": False, "negative": False}),
    ]
    return [EmulatedModel(name, calls, pace=pace, **more) for names, calls, pace, more in groups for name in names.split()]


MODELS = {model.id: model for model in _models()}


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A validated request: what will be drawn, after the server's cuts and defaults. `sent` is the prompt before the cut."""

    sent: str
    prompt: str
    negative: str
    size: tuple[int, int]
    seed: int | None
    n: int
    extend: bool
    watermark: bool
    images: tuple[str, ...]

    def effective(self, model: EmulatedModel) -> dict[str, Any]:
        """The fields that the picture depends on."""
        return {
            "api": "dashscope", "model": model.id, "prompt": self.prompt, "negative_prompt": self.negative,
            "size": list(self.size), "seed": self.seed, "prompt_extend": self.extend, "watermark": self.watermark,
            "images": list(self.images),
        }  # fmt: skip


def read_messages(model: EmulatedModel, body: Mapping[str, Any]) -> ValidRequest:
    """Validate a body with `input.messages`; raises Bad."""
    messages = _object(body.get("input"), "input").get("messages")
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], dict):
        raise RefusedField("Field required: input.messages must hold exactly one message")
    if messages[0].get("role") != "user":
        raise RefusedField("input.messages[0].role must be user")
    content = messages[0].get("content")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise RefusedField("input.messages[0].content must be a list of objects")
    texts = [item["text"] for item in content if "text" in item]
    pictures = [item["image"] for item in content if "image" in item]
    if len(texts) != 1 or len(texts) + len(pictures) != len(content):
        raise RefusedField("input.messages[0].content must hold exactly one text")
    _count_images(model, pictures)
    parameters = _object(body.get("parameters", {}), "parameters")
    return _asked(model, texts[0], parameters.get("negative_prompt"), parameters, tuple(map(image_digest, pictures)))


def read_prompt(model: EmulatedModel, body: Mapping[str, Any]) -> ValidRequest:
    """Validate a body with `input.prompt`; a negative prompt may stand in either place, `input` wins. Raises Bad."""
    given = _object(body.get("input"), "input")
    if "prompt" not in given:
        raise RefusedField("Field required: input.prompt")
    parameters = _object(body.get("parameters", {}), "parameters")
    negative = given.get("negative_prompt", parameters.get("negative_prompt"))
    return _asked(model, given["prompt"], negative, parameters, ())


def _asked(
    model: EmulatedModel, text: object, negative: object, parameters: Mapping[str, Any], images: tuple[str, ...]
) -> ValidRequest:
    if not isinstance(text, str) or not text:
        raise RefusedField("Field required: the prompt must be a text that is not empty")
    if not (negative is None or isinstance(negative, str)):
        raise RefusedField("negative_prompt must be a string")
    if wrong := next((name for name in model.never if name in parameters), ""):
        raise RefusedField(f"{wrong} is not supported by {model.id}")
    _truth(parameters, "thinking_mode", True)
    n = _integer(parameters, "n", model.default_n, 1, model.max_n, f"num_images_per_prompt must be {_range(model.max_n)}")
    return ValidRequest(
        text, text[: model.cut_prompt], (negative or "")[:500] if model.negative else "",
        _size(model, parameters.get("size"), bool(images)), _seed(parameters), n or 1,
        _truth(parameters, "prompt_extend", model.extend), _truth(parameters, "watermark", False), images,
    )  # fmt: skip


def _range(most: int) -> str:
    return "1" if most == 1 else f"between 1 and {most}"


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RefusedField(f"Field required: {name} must be an object")
    return value


def _integer(parameters: Mapping[str, Any], name: str, default: int | None, low: int, high: int, message: str) -> int | None:
    value = parameters.get(name, default)
    if value is None and name not in parameters:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RefusedField(message)
    return value


def _seed(parameters: Mapping[str, Any]) -> int | None:
    return _integer(parameters, "seed", None, 0, MAX_SEED, f"seed must be an integer in [0, {MAX_SEED}]")


def _truth(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RefusedField(f"{name} must be a boolean")
    return value


def _count_images(model: EmulatedModel, pictures: list[Any]) -> None:
    least, most = model.images
    if not least <= len(pictures) <= most:
        raise RefusedField(f"the number of input images must be between {least} and {most}")
    if not all(
        isinstance(item, str) and item.startswith(("http://", "https://", "oss://", "data:image/")) for item in pictures
    ):
        raise RefusedField("image must be a URL or a data URI", "InvalidURL")


def image_digest(address: str) -> str:
    """A reference image by its content where the request carries it, else by its address."""
    head, comma, data = address.partition(";base64,")
    try:
        content = base64.b64decode(data, validate=True) if comma and head.startswith("data:") else address.encode()
    except ValueError as error:
        raise RefusedField("the image is not valid base64", "InvalidURL") from error
    return hashlib.sha256(content).hexdigest()


SHORT = {"1K": "1024*1024", "2K": "2048*2048", "4K": "4096*4096"}
"""Sizes that the wan models know by a word."""


def _size(model: EmulatedModel, value: object, with_images: bool) -> tuple[int, int]:
    text = model.default_size if value is None else value
    text = SHORT.get(text, text) if isinstance(text, str) and model.id.startswith("wan") else text
    match = SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise RefusedField("size must be a string such as 1328*1328")
    width, height = int(match[1]), int(match[2])
    if model.sizes and text not in model.sizes:
        raise RefusedField(f"size must be one of {', '.join(model.sizes)}")
    if model.id == "qwen-image-edit" and value is not None:
        raise RefusedField("size is not supported by qwen-image-edit")
    if model.sides:
        return _sides(width, height)
    if not model.sizes and model.id != "qwen-image-edit":
        _area(width, height, (with_images and model.area_with_images) or model.area)
    return width, height


def _sides(width: int, height: int) -> tuple[int, int]:
    if not (512 <= width <= 2048 and 512 <= height <= 2048):
        raise RefusedField("width and height must be between 512 and 2048")
    return (round(width / 16) * 16, round(height / 16) * 16)


def _area(width: int, height: int, bounds: tuple[int, int]) -> None:
    if not bounds[0] <= width * height <= bounds[1]:
        low, high = (f"{int(pixels**0.5)}*{int(pixels**0.5)}" for pixels in bounds)
        raise RefusedField(f"the total number of pixels must be between {low} and {high}")
    if not 1 / 8 <= width / height <= 8:
        raise RefusedField("the aspect ratio must be between 1:8 and 8:1")
