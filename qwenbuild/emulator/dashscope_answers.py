"""How DashScope writes pictures and usage down: each generation of models in its own shape.

Knows no task's state and no request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwenbuild.emulator.dashscope_bill import ONE_K
from qwenbuild.emulator.jobs import EmulatedJob

LATER = ("qwen-image-2", "qwen-image-3", "wan")
"""Models whose answers carry no `task_metric`."""
AS_CHOICES = ("qwen-image-3", "wan")
"""Models whose tasks end in `choices`, with a type at each item; the first generation's end in `results`."""


def finished(job: EmulatedJob, urls: Sequence[str]) -> dict[str, Any]:
    """The output of a synchronous call."""
    wanted = job.order
    output = _choices(wanted.model, urls) if wanted.model.startswith("wan") else _one_choice([{"image": url} for url in urls])
    if not wanted.model.startswith(LATER):
        output["task_metric"] = {"TOTAL": wanted.n, "FAILED": 0, "SUCCEEDED": wanted.n}
    if wanted.model == "z-image-turbo":
        output["choices"][0]["message"]["content"].append({"text": wanted.prompt})
    return output


def succeeded(job: EmulatedJob, urls: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a task's output gains when it has ended well, and its usage."""
    wanted = job.order
    if wanted.model.startswith(AS_CHOICES):
        return _choices(wanted.model, urls), usage(job)
    if job.fate.kind == "item_error":
        return {"results": [{"code": job.fate.code, "message": job.fate.message}]}, {"image_count": wanted.n}
    return {"results": [_result(job, url) for url in urls or [""]]}, {"image_count": wanted.n}


def usage(job: EmulatedJob) -> dict[str, Any]:
    """What was drawn, as it is counted."""
    width, height = job.order.size
    if job.order.model.startswith("wan"):
        tokens = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        return {"size": f"{width}*{height}", "image_count": job.order.n, **tokens}
    if not job.order.model.startswith("qwen-image-3"):
        return {"width": width, "height": height, "image_count": job.order.n}
    tier = "qima_output_1k" if width * height <= ONE_K else "qima_output_2k"
    images = len(job.order.effective.get("images", ()))
    return {
        "input_image_count": images, "output_image_count": job.order.n, "output_image_type": tier,
        "output_width": width, "output_height": height,
    }  # fmt: skip


def _choices(model: str, urls: Sequence[str]) -> dict[str, Any]:
    items = [{"type": "image", "image": url} for url in urls]
    if not model.startswith("wan"):
        return _one_choice(items)
    return {"finished": True, "choices": [choice for item in items for choice in _one_choice([item])["choices"]]}


def _one_choice(content: list[dict[str, str]]) -> dict[str, Any]:
    return {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}


def _result(job: EmulatedJob, url: str) -> dict[str, str]:
    wanted = job.order
    result = {"orig_prompt": wanted.prompt}
    if wanted.effective.get("prompt_extend"):
        result["actual_prompt"] = f"{wanted.effective['prompt']}, in rich detail and soft light"
    return result | ({"url": url} if url else {})
