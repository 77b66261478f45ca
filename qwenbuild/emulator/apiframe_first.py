"""Plays the parameters of Apiframe's first model, `qwen-image`, whose object has fields of its own in the OpenAPI document.

Knows no job: it reads one object and says it in the words of the other models.
"""

from __future__ import annotations

from typing import Any

NAME = "qwenImageParams"
IMAGE_SIZES = {
    "square": (512, 512), "square_hd": (1024, 1024), "portrait_4_3": (768, 1024), "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768), "landscape_16_9": (1024, 576),
}  # fmt: skip
"""The document names the words only; the pixels are those of the service that Apiframe is said to resell."""
CHOICES = {
    "acceleration": ("none", "regular", "high"),
    "image_size": tuple(IMAGE_SIZES),
    "output_format": ("png", "jpeg"),
    "task_type": ("text-to-image", "image-to-image", "image-edit"),
}
NUMBERS = {"guidance_scale": (0, 20), "num_images": (1, 4), "num_inference_steps": (2, 250), "strength": (0, 1)}
WHOLE = ("num_images", "num_inference_steps")
TAKEN = {*CHOICES, *NUMBERS, "image_url", "negative_prompt", "seed"}


def in_common_words(params: dict[str, Any], details: dict[str, list[str]]) -> dict[str, Any]:
    """`image`, `negative_prompt` and `seed` as the other models call them, and `pixels`, `format`, `count` and `more`.

    Adds what is wrong to `details`.
    """
    for name in sorted(set(params) - TAKEN):
        details[f"{NAME}.{name}"] = ["unrecognized key"]
    for name, allowed in CHOICES.items():
        if params.get(name, allowed[0]) not in allowed:
            details[f"{NAME}.{name}"] = [f"must be one of {', '.join(allowed)}"]
    for name, (least, most) in NUMBERS.items():
        if name in params and not _number(params[name], least, most, name in WHOLE):
            details[f"{NAME}.{name}"] = [f"must be a number from {least} to {most}"]
    if details:
        return {}
    same = {"image": params.get("image_url"), "negative_prompt": params.get("negative_prompt"), "seed": params.get("seed")}
    own = {
        "pixels": IMAGE_SIZES[params.get("image_size", "landscape_4_3")],
        "format": params.get("output_format", "png"),
        "count": params.get("num_images", 1),
        "more": {name: params.get(name) for name in ("acceleration", "task_type", *NUMBERS)},
    }
    return {name: value for name, value in same.items() if value is not None} | own


def _number(value: Any, least: float, most: float, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return least <= value <= most
