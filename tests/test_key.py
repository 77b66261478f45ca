"""The key: pinned for ever, canonical as RFC 8785 gives it, and documented so that anyone can recompute it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.catalog import Catalog
from qwenbuild.key import (
    ALWAYS,
    FIELDS,
    KeyOfPrompt,
    action_key,
    canonical,
    decimal_text,
    differences,
    document,
    from_document,
    recorded_key,
    short_document,
    with_inputs,
)
from qwenbuild.model import Action

DOCS = Path(__file__).parent.parent / "docs" / "keys.md"

POTION = Action("dashscope", "qwen-image-plus", "A small bottle of crimson potion", "1140*1472", 11, "blurry")
PINNED = {
    "726d8d06e9fca6ac5685a1c9e7979538017fbf33a0d3ac478ad3d1fa6b2c4476": POTION,
    "ad4ea0241aca4086b30ee8535610565819032abe311625c255cd4deeb2f7cf78": Action(
        "dashscope", "qwen-image-2.0", "提灯，雨夜 — “Angebot” 🏮", "2048*2048", 0, "", True, True
    ),
    "4ee5f8a181e79a5c2713d3c8ae5338e795f2f6babfbed9cf694f3416c7636c93": Action(
        "qwen2512", "qwen-image-2512", "a lantern", "1024*1024", 2147483647, output_format="webp"
    ),
    "3924777003086cacf5157a8d50a937b5b58cfca6e443f955efbfeea346a0a9a9": Action(
        "apiframe", "qwen-image-2", "a lantern", "16:9", 7, "blurry"
    ),
    "ae0130a53f1306c460b3ca301636517a8d0da7f2111b68b3346ca48883b45cf7": Action(
        "openai",
        "Qwen/Qwen-Image-2512",
        "a lantern",
        "1328*1328",
        42,
        " ",
        weights="sha256:0",
        extra=(("num_inference_steps", 50), ("true_cfg_scale", "4")),
    ),
    "cc00979f5a440eb5f89ccfbc3f7ed3b39db6e4763f1cf253720a7d492810b7f9": Action(
        "dashscope", "qwen-image-edit", "make it night", "", 3, inputs=("a" * 64, "b" * 64)
    ),
    "e7ff9d1144fade41f519daed97bd2fb7544291f6cb0517148dacb337bbed4d0d": Action(
        "placeholder", "placeholder", 'a "quoted"\nline\t\u2028\x7f', "1024*1024", 0
    ),
}


@pytest.mark.parametrize("key", PINNED)
def test_these_keys_never_change_because_pictures_were_paid_under_them(key: str) -> None:
    assert action_key(PINNED[key]) == key


@pytest.mark.parametrize("key", PINNED)
def test_the_canonical_form_is_rfc_8785(key: str) -> None:
    action = PINNED[key]
    assert canonical(document(action)) == rfc8785.dumps(document(action))


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(texts, texts, st.integers(0, 2147483647), st.booleans(), st.lists(texts, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_action_is_canonical_and_comes_back_from_its_record(
    prompt: str, negative: str, seed: int, extend: bool, inputs: list[str]
) -> None:
    action = Action(
        "f", "m", prompt, "1*1", seed, negative, extend, inputs=tuple(inputs), extra=(("mode", prompt), ("steps", seed))
    )
    assert canonical(document(action)) == rfc8785.dumps(document(action))
    assert from_document(short_document(action)) == action
    assert recorded_key(short_document(action)) == action_key(action)


CHANGES: dict[str, Any] = {
    "family": "apiframe",
    "model": "qwen-image",
    "prompt": "A small bottle of crimson potion ",
    "size": "1328*1328",
    "seed": 12,
    "negative_prompt": "",
    "prompt_extend": True,
    "watermark": True,
    "output_format": "webp",
    "weights": "w",
    "inputs": ("a" * 64,),
    "extra": (("enable_thinking", True),),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_key_and_is_named_as_the_difference(field: str) -> None:
    changed = replace(POTION, **{field: CHANGES[field]})
    assert action_key(changed) != action_key(POTION)
    named = [name for name, _, _ in differences(short_document(POTION), short_document(changed))]
    assert named == ["enable_thinking" if field == "extra" else field]


def test_every_field_is_tried_above() -> None:
    assert {*FIELDS, "extra"} == CHANGES.keys()


def test_the_order_of_reference_images_matters() -> None:
    there, back = with_inputs(POTION, ["a" * 64, "b" * 64]), with_inputs(POTION, ["b" * 64, "a" * 64])
    assert action_key(there) != action_key(back)


def test_nothing_is_normalised_in_a_prompt() -> None:
    composed, decomposed = replace(POTION, prompt="é"), replace(POTION, prompt="e\u0301")
    assert action_key(composed) != action_key(decomposed)


@pytest.mark.parametrize(
    ("number", "text"), [(4, "4"), (4.0, "4"), (0.5, "0.5"), (1e-7, "0.0000001"), (1e3, "1000"), (-0.0, "0"), ("0.50", "0.5")]
)
def test_a_decimal_is_its_shortest_string(number: Any, text: str) -> None:
    assert decimal_text(number) == text


def test_a_lock_entry_always_spells_out_the_six_and_nothing_that_is_a_default() -> None:
    assert tuple(sorted(short_document(POTION))) == ALWAYS
    marked = replace(POTION, watermark=True, extra=(("steps", 4),))
    assert set(short_document(marked)) == {*ALWAYS, "watermark", "steps"}


def test_a_record_without_one_of_the_six_is_refused() -> None:
    record = short_document(POTION)
    del record["seed"]
    with pytest.raises(KeyError):
        from_document(record)


# ---------------------------------------------------------------- docs/keys.md


def test_the_documented_example_is_recomputed_by_sha256sum() -> None:
    shown = re.search(r"printf '%s' '(\{.*\})' \| sha256sum\n([0-9a-f]{64})  -", DOCS.read_text(encoding="utf-8"))
    assert shown is not None
    done = subprocess.run(["sha256sum"], input=shown[1].encode(), capture_output=True, check=True)
    assert done.stdout.split()[0].decode() == shown[2]
    assert hashlib.sha256(shown[1].encode()).hexdigest() == shown[2]
    action = Action("dashscope", "qwen-image-2.0", "A red apple", "2048*2048", 7, "blurry")
    assert (canonical(document(action)).decode(), action_key(action)) == (shown[1], shown[2])


def test_the_documented_table_has_every_field_of_the_code() -> None:
    table = DOCS.read_text(encoding="utf-8").split("## What is not in it")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert {"v", *FIELDS} <= documented
    extras = {name for row in Catalog.load().rows() for name in row.extra}
    assert all(f"`{name}`" in table for name in extras)


SIZES = ["16*16", "1:1", "\0the prompt\0", str(-(2**62) - 1)]


@given(prompt=st.text(), seed=st.integers(0, 2**31 - 1), size=st.sampled_from(SIZES))
def test_a_key_of_a_pattern_is_the_key_of_the_action(prompt: str, seed: int, size: str) -> None:
    """Also where the pattern itself holds what stands for prompt or seed."""
    base = {"family": "placeholder", "model": "placeholder", "size": size, "extra": (("steps", 4),)}
    action = Action(prompt=prompt, seed=seed, **base)  # type: ignore[arg-type]
    assert KeyOfPrompt(Action(prompt="", seed=0, **base)).key(action) == action_key(action)  # type: ignore[arg-type]
