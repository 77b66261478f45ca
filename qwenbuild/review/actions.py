"""What a person can do on the page, as calls of the walk's own verbs.

Knows no page and no request: words in, words out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qwenbuild.errors import InputError
from qwenbuild.project.options import Options
from qwenbuild.verbs import choices, notes
from qwenbuild.verbs.choices import Choice


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """One request: the verb, the entries, the candidate from 1 (0: none) or one for each entry, and a note's text."""

    verb: str
    ids: tuple[str, ...]
    number: int = 0
    text: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)


def carry_out(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    """Do it. Raises InputError for a verb that is none, and for what the verb itself refuses."""
    if request.verb not in VERBS:
        raise InputError(f"there is no verb {request.verb!r}", code="usage")
    if not request.ids:
        raise InputError("no entry is named", code="usage")
    return VERBS[request.verb](options, request)


def _one(request: ReviewRequest) -> str:
    if len(request.ids) != 1:
        raise InputError(f"{request.verb} takes one entry, not {len(request.ids)}", code="usage")
    return request.ids[0]


def _pick(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    return (choices.pick(options, _one(request), request.number),)


def _reject(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    return choices.reject(options, request.ids, _numbers(request), of=request.numbers)


def _admit(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    """Never more than was named: a page that takes one rejection back does not know of the others."""
    if not request.number and set(request.ids) - set(request.numbers):
        raise InputError("admit takes the number of a candidate for each entry", code="usage")
    return choices.reject(options, request.ids, _numbers(request), undo=True, of=request.numbers)


def _numbers(request: ReviewRequest) -> Sequence[int]:
    return [request.number] if request.number else []


def _note(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    return (notes.note(options, _one(request), request.text),)


VERBS: dict[str, Callable[[Options, ReviewRequest], tuple[Choice, ...]]] = {
    "pick": _pick,
    "unpick": lambda options, request: choices.unpick(options, request.ids),
    "approve": lambda options, request: choices.approve(options, request.ids),
    "release": lambda options, request: choices.release(options, request.ids),
    "reject": _reject,
    "admit": _admit,
    "reroll": lambda options, request: choices.reroll_all(options, request.ids),
    "note": _note,
}
"""Every verb of the page; `admit` takes a rejection back."""
FILES_FOLLOW = frozenset({"pick", "unpick", "reject", "admit", "release"})
"""Verbs after which another picture may be in use, so that files are to be made from it."""
