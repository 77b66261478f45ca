"""Small changes to a built project: to rows, to the lockfile, to what people chose; those of the manifest and of files stand in
`test_short_property`.

Knows no test; a change that cannot be made where others were made before raises what `acted` passes over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenbuild.verbs import Options, choices, notes

Edit = Callable[[Path], object]

ROWS = "gem,colour\nruby,red\nopal,white\njade,green\nonyx,black\nagate,grey\n"
"""The rows of `rings.csv`, of which each makes a ring of gold and one of tin."""


def rows(change: Callable[[list[str]], list[str]]) -> Edit:
    """The data file with other rows; the first line names the columns."""

    def edit(folder: Path) -> None:
        path = folder / "rings.csv"
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([head, *change(lines)]) + "\n", encoding="utf-8")

    return edit


def whole(old: str, new: str) -> Edit:
    """The data file with other words anywhere."""

    def edit(folder: Path) -> None:
        path = folder / "rings.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    return edit


ROW_EDITS: tuple[Edit, ...] = (
    rows(lambda lines: [*lines, "beryl,blue"]),
    rows(lambda lines: ["beryl,blue", *lines]),
    rows(lambda lines: [*lines[:2], "beryl,blue", "quartz,clear", *lines[2:]]),
    rows(lambda lines: [*lines[:1], "beryl,blue", *lines[1:3], "quartz,clear", *lines[3:]]),
    rows(lambda lines: [*lines[:1], *lines[2:]]),
    rows(lambda lines: lines[1:]),
    rows(lambda lines: lines[:-1]),
    rows(lambda lines: lines[:1]),
    rows(lambda lines: []),
    rows(lambda lines: lines[::-1]),
    rows(lambda lines: [*lines[2:], *lines[:2]]),
    rows(lambda lines: [*lines, lines[0]]),
    rows(lambda lines: [*lines, "Ruby,red"]),
    rows(lambda lines: [*lines, ",", ","]),
    rows(lambda lines: [*lines, "ragged"]),
    rows(lambda lines: [line.partition(",")[0] + ",alike" for line in lines]),
    whole("green", "olive"),
    whole("jade", "beryl"),
    whole("gem,colour", "colour,gem"),
    whole("opal,white", "opal,red"),
    whole("ruby,red\nopal,white", "ruby,white\nopal,red"),
    whole("gem,colour\n", "gem,colour,\n"),
    whole("colour", "Colour"),
    whole("\n", ",one\n"),
    lambda folder: (folder / "cups.csv").write_text("id,colour\nred,red\nblue,red\n", encoding="utf-8"),
    lambda folder: (folder / "cups.csv").write_text("id,colour\nred,red\nblue,azure\ngreen,green\n", encoding="utf-8"),
)


# ---------------------------------------------------------------- the lockfile, as a merge leaves it


def locked(change: Callable[[dict[str, Any]], object], indent: int | None = 2) -> Edit:
    """The lockfile with other records, laid out as it was, or otherwise."""

    def edit(folder: Path) -> None:
        path = folder / "qwenbuild.lock"
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document["entries"])
        text = json.dumps(document, indent=indent, sort_keys=True, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")

    return edit


def text(old: str, new: str, count: int = 1) -> Edit:
    """The lockfile with other words."""

    def edit(folder: Path) -> None:
        path = folder / "qwenbuild.lock"
        path.write_text(re.sub(old, new, path.read_text(encoding="utf-8"), count=count, flags=re.MULTILINE), encoding="utf-8")

    return edit


def _swap(entries: dict[str, Any]) -> None:
    one, two = entries["cups/red"], entries["cups/blue"]
    one["digest"], two["digest"] = two["digest"], one["digest"]


def _move(entries: dict[str, Any]) -> None:
    entries["cups/old"] = entries.pop("cups/red")


def _doubled(entries: dict[str, Any]) -> None:
    entries["cups/again"] = dict(entries["cups/red"])


def _reversed(entries: dict[str, Any]) -> None:
    entries["cups/red"] = dict(reversed(entries["cups/red"].items()))


LOCK_EDITS: tuple[Edit, ...] = (
    locked(lambda entries: entries["cups/red"].update(made="2020-02-02")),
    locked(lambda entries: [entry.update(made="2020-02-02") for entry in entries.values()]),
    locked(lambda entries: entries.pop("cups/red")),
    locked(lambda entries: entries.pop("rings/jade-tin")),
    locked(lambda entries: [entries.pop(id) for id in list(entries)[::2]]),
    locked(lambda entries: entries.clear()),
    locked(_move),
    locked(_doubled),
    locked(_swap),
    locked(lambda entries: entries["plates/one"].update(digest="ab" * 32)),
    locked(lambda entries: entries["plates/one"].update(key="ab" * 32)),
    locked(lambda entries: entries["plates/one"].update(orphan=True)),
    locked(lambda entries: entries["plates/one"].update(picked="ab" * 32)),
    locked(lambda entries: entries["plates/one"].update(approved=True)),
    locked(lambda entries: entries["plates/one"].update(seeds=[7])),
    locked(lambda entries: entries["plates/one"]["outputs"].update({"old.png": {"digest": "ab" * 32, "orphan": True}})),
    locked(lambda entries: entries["plates/one"]["outputs"].clear()),
    locked(lambda entries: entries["plates/one"].update(note="A note")),
    locked(lambda entries: entries["plates/one"].update(evil=True)),
    locked(lambda entries: entries["plates/one"].update(digest="../x")),
    locked(lambda entries: None, indent=None),
    locked(lambda entries: None, indent=3),
    locked(lambda entries: entries["cups/red"].update(made="2020-02-02"), indent=3),
    text('^    "cups/red": {', "<<<<<<< ours\n    \"cups/red\": {"),
    text('^    "cups/red": {', '    "cups/blue": {'),
    text('^    "cups/red": {', '    "cups/red": {'),
    text('^    "cups/red": {\n', '    "cups/red":   {\n'),
    text('"version": 1', '"version": 2'),
    text('"manifest": "[^"]*"', '"manifest": "other.yaml"'),
    text("\\Z", "\n"),
    text("\\n\\Z", ""),
)  # fmt: skip


# ---------------------------------------------------------------- what people choose


def chosen(verb: Callable[..., object], *what: Any) -> Edit:
    return lambda folder: verb(Options(folder), *what)


CHOICES: tuple[Edit, ...] = (
    chosen(choices.approve, ("cups/red",)),
    chosen(choices.approve, ("asset:rings",)),
    chosen(choices.approve, ("**",)),
    chosen(choices.release, ("cups/red",)),
    chosen(choices.pick, "spoons", 1),
    chosen(choices.unpick, ("spoons",)),
    chosen(choices.reroll, "plates/one"),
    chosen(choices.reroll, "spoons"),
    chosen(choices.reject, ("plates/two",)),
    chosen(choices.reject, ("rings/opal-gold",)),
    chosen(notes.note, "bowls/red", "Nice"),
)
