"""What a person can do on the page, as calls of the walk's own verbs.

Knows no page and no request: words in, words out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qwenbuild.errors import InputError
from qwenbuild.project.options import Options
from qwenbuild.verbs import choices, notes
from qwenbuild.verbs.choices import Choice


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """One request: the verb, the entries, the candidate from 1 (0: none), and a note's text."""

    verb: str
    ids: tuple[str, ...]
    number: int = 0
    text: str = ""


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
    return choices.reject(options, [_one(request)], _numbers(request))


def _admit(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    return choices.reject(options, [_one(request)], _numbers(request), undo=True)


def _numbers(request: ReviewRequest) -> Sequence[int]:
    return [request.number] if request.number else []


def _note(options: Options, request: ReviewRequest) -> tuple[Choice, ...]:
    return (notes.note(options, _one(request), request.text),)


VERBS: dict[str, Callable[[Options, ReviewRequest], tuple[Choice, ...]]] = {
    "pick": _pick,
    "unpick": lambda options, asked: choices.unpick(options, asked.ids),
    "approve": lambda options, asked: choices.approve(options, asked.ids),
    "release": lambda options, asked: choices.release(options, asked.ids),
    "reject": _reject,
    "admit": _admit,
    "reroll": lambda options, asked: (choices.reroll(options, _one(asked)),),
    "note": _note,
}
"""Every verb of the page; `admit` takes a rejection back."""
