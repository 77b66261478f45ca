"""Manifests made by hand for the tests of expansion; knows no file of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.expansion import Expansion, expand
from qwenbuild.model import Asset, Entry, Manifest

HERE = Path("/nonexistent")


def manifest(*assets: Asset, **fields: Any) -> Manifest:
    return Manifest("qwenbuild.yaml", fields.pop("folder", HERE), assets=assets, **fields)


def asset(name: str = "potions", **fields: Any) -> Asset:
    if "prompt_file" not in fields:
        fields.setdefault("prompt", "a potion")
    return Asset(name, **fields)


def expanded(*assets: Asset, **fields: Any) -> Expansion:
    return expand(manifest(*assets, **fields))


def entries(*assets: Asset, **fields: Any) -> tuple[Entry, ...]:
    return expanded(*assets, **fields).entries


def ids(*assets: Asset, **fields: Any) -> list[str]:
    return [entry.id for entry in entries(*assets, **fields)]


def prompt_of(text: str, folder: Path = HERE, **variables: Any) -> str:
    (entry,) = entries(asset(prompt=text, vars=variables), folder=folder)
    return entry.prompt


def problems(*assets: Asset, **fields: Any) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        expanded(*assets, **fields)
    return caught.value.problems


def problem(*assets: Asset, **fields: Any) -> Problem:
    found = problems(*assets, **fields)
    assert len(found) == 1, found
    return found[0]


def prompt_problem(text: str, folder: Path = HERE, **variables: Any) -> Problem:
    return problem(asset(prompt=text, vars=variables), folder=folder)
