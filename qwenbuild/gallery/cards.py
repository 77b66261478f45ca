"""What the page shows of each entry, as JSON values: its files and pictures by digest, its choices, its facts in words.

Knows no HTML and reads no file: digests stand for pictures.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.gallery import shipped_files
from qwenbuild.gallery.revision import Before
from qwenbuild.key import differences, document
from qwenbuild.lock import layout
from qwenbuild.model import ActionResult, CandidatePlan, LockEntry, Step
from qwenbuild.report.words import change_words, price_words, reason_words

Card = dict[str, Any]
NOTHING = LockEntry("", "", {})


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the cards are made of. `results` maps keys to what they gave, `tree` paths to the digests of what lies there,
    `places` an entry's id to the numbers of its values on its asset's axes.
    """

    steps: Sequence[Step]
    lock: Mapping[str, LockEntry]
    results: Mapping[str, Sequence[ActionResult]] = field(default_factory=dict)
    before: Before | None = None
    tree: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def record(self, step: Step) -> LockEntry:
        """The entry's lock record."""
        return self.lock.get(step.moved_from or step.id, NOTHING)


def cards(look: CardFacts) -> list[Card]:
    """A card for each entry in the manifest's order; after them those that only the earlier revision had."""
    keys = _gone_by_key(look)
    current = [_card(look, step, keys) for step in look.steps]
    return [*current, *_gone(look, current)]


def digests(cards: Sequence[Card]) -> Iterator[str]:
    """Every picture and every file that the cards show."""
    for card in cards:
        yield from (shown["digest"] for shown in (*card["candidates"], *card["files"]) if shown["digest"])
        if card["before"]:
            yield from (digest for digest in (card["before"]["digest"], *card["before"]["files"].values()) if digest)


_TILE = re.compile(r"\b(seamless|tileable|tiling)\b", re.IGNORECASE)


def _is_tile(step: Step) -> bool:
    """Whether the picture is meant to be repeated: its asset, its tags or its prompt say so."""
    entry = step.keyed.entry
    return bool({entry.asset, *entry.tags} & {"tile", "tiles", "texture", "textures"} or _TILE.search(entry.prompt))


def _card(look: CardFacts, step: Step, old_ids: Mapping[str, str]) -> Card:
    entry, record = step.keyed.entry, look.record(step)
    used = step.candidates[step.used]
    candidates = [_candidate(look, step, number, record) for number in range(len(step.candidates))]
    files = shipped_files.files(step, record, look.tree)
    before = _before(look, step, old_ids, files)
    action = used.candidate.action
    return {
        "id": entry.id,
        "asset": entry.asset,
        "tags": list(entry.tags),
        "verdict": step.verdict.value,
        "marks": _marks(look, step, record, before),
        "reasons": [reason_words(reason, 300) for reason in step.reasons],
        "prompt": entry.prompt,
        "negative": action.negative_prompt,
        "provider": entry.provider,
        "model": action.model,
        "size": action.size.replace("*", " × "),
        "ratio": ratio(action.size),
        "files": files,
        "place": list(look.places.get(entry.id, ())),
        "tile": _is_tile(step),
        "used": step.used,
        "candidates": candidates,
        "before": before,
        "note": record.note,
        "price": price_words(step.keyed.price),
        "locked": bool(record.key),
        "stamp": _stamp(step, record),
    }


def ratio(size: str) -> float:
    """Width by height of `W*H` or `W:H`; 1 when it says neither."""
    width, _, height = size.replace(":", "*").partition("*")
    try:
        return round(min(max(int(width) / int(height), 0.2), 5), 4)
    except (ValueError, ZeroDivisionError):
        return 1.0


def _candidate(look: CardFacts, step: Step, number: int, record: LockEntry) -> Card:
    plan = step.candidates[number]
    key = plan.candidate.key
    result = _result(look, plan)
    return {
        "key": key,
        "seed": plan.candidate.seed,
        "digest": plan.digest,
        "size": [result.width, result.height] if result else _pixels(plan.candidate.action.size),
        "verdict": plan.verdict.value,
        "picked": bool(key) and key == record.picked,
        "rejected": key in record.rejected,
        "made": result.made if result else record.made if key == record.key else "",
        "price": _paid(result, plan),
        "rewritten": result.actual_prompt if result else "",
    }


def _pixels(size: str) -> list[int] | None:
    """Width and height of `W*H`; None for a ratio."""
    width, _, height = size.partition("*")
    return [int(width), int(height)] if width.isdigit() and height.isdigit() else None


def _result(look: CardFacts, plan: CandidatePlan) -> ActionResult | None:
    results = look.results.get(plan.candidate.key, ())
    return next((result for result in results if result.digest == plan.digest), None)


def _paid(result: ActionResult | None, plan: CandidatePlan) -> str:
    if result is not None and result.billed:
        return f"{price_words(result.billed)} (as billed)"
    return price_words(plan.price) if plan.price or not plan.digest else ""


def _marks(look: CardFacts, step: Step, record: LockEntry, before: Card | None) -> list[str]:
    """What a person asks for in the filter, beside the verdict."""
    codes = {reason.code for reason in step.reasons}
    marks = {
        "approved": step.approved,
        "held": step.held,
        "picked": bool(record.picked) and record.picked == record.key,
        "unpicked": "unpicked" in codes,
        "pick void": "pick-void" in codes,
        "rejected": "rejected" in codes,
        "noted": bool(record.note),
        "changed": before is not None,
        "new": look.before is not None and before is None and not _was_there(look, step),
    }
    return [name for name, holds in marks.items() if holds]


def _stamp(step: Step, record: LockEntry) -> str:
    """What a choice was made upon: another stamp means that the page shows an older state."""
    seen = [layout.record(record), [[plan.candidate.key, plan.digest] for plan in step.candidates], step.approved]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- before


def _before(look: CardFacts, step: Step, old_ids: Mapping[str, str], files: Sequence[Card]) -> Card | None:
    """What the earlier revision had where its picture or one of its files was another; None too when there was none."""
    if look.before is None:
        return None
    used = step.candidates[step.used]
    id = step.id if step.id in look.before.entries else old_ids.get(used.candidate.key, "")
    old = look.before.entries.get(id)
    if old is None or old.orphan:
        return None
    earlier = _earlier(id, old, document(used.candidate.action))
    remade = [
        file["path"]
        for file in files
        if file["digest"] and earlier["files"].get(file["path"], file["digest"]) != file["digest"]
    ]
    if old.digest == used.digest and not remade:
        return None
    if old.digest == used.digest:
        earlier["changes"] += [[path, "made by other steps, or changed by hand"] for path in remade]
    return earlier


def _is_other(file: Card, earlier: str) -> bool:
    return bool(file["digest"] and earlier and file["digest"] != earlier)


def _was_there(look: CardFacts, step: Step) -> bool:
    assert look.before is not None
    key = step.candidates[step.used].candidate.key
    return step.id in look.before.entries or any(old.key == key for old in look.before.entries.values())


def _earlier(id: str, old: LockEntry, now: Mapping[str, Any]) -> Card:
    changes = differences(old.action, now) if now else ()
    return {
        "id": id,
        "digest": old.digest,
        "files": {path: output.digest or old.digest for path, output in old.outputs.items() if not output.orphan},
        "key": old.key,
        "prompt": str(old.action.get("prompt", "")),
        "seed": old.action.get("seed"),
        "model": str(old.action.get("model", "")),
        "made": old.made,
        "ratio": ratio(str(old.action.get("size", ""))),
        "changes": [[name, change_words(was, new, 200)] for name, was, new in changes],
    }


def _gone_by_key(look: CardFacts) -> dict[str, str]:
    """Key to earlier id of what has another name now."""
    if look.before is None:
        return {}
    ids = {step.id for step in look.steps}
    return {old.key: id for id, old in look.before.entries.items() if id not in ids}


def _gone(look: CardFacts, current: Sequence[Card]) -> Iterator[Card]:
    """Cards of the entries that were there and are no more; none when only a part of the entries is looked at."""
    if look.before is None:
        return
    shown_ids = {card["id"] for card in current} | {card["before"]["id"] for card in current if card["before"]}
    keys = {candidate["key"] for card in current for candidate in card["candidates"]}
    for id, old in look.before.entries.items():
        if id not in shown_ids and old.key not in keys and not old.orphan:
            yield _gone_card(id, old)


def _gone_card(id: str, old: LockEntry) -> Card:
    before = _earlier(id, old, {})
    return {
        "id": id,
        "asset": id.split("/")[0],
        "tags": [],
        "verdict": "removed",
        "marks": ["removed"],
        "reasons": ["no longer in the manifest"],
        "prompt": before["prompt"],
        "negative": "",
        "provider": str(old.action.get("family", "")),
        "model": before["model"],
        "size": str(old.action.get("size", "")).replace("*", " × "),
        "ratio": before["ratio"],
        "files": [],
        "place": [],
        "tile": False,
        "used": 0,
        "candidates": [],
        "before": before,
        "note": old.note,
        "price": "",
        "locked": False,
        "stamp": "",
    }
