"""Money, times, counts and reasons in words: the one place where a Reason becomes a sentence.

Does not know plans; all foreign text that it hands out has been made visible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from qwenbuild.errors import NOT_FETCHED
from qwenbuild.model import CheckVerdict, Price, Reason
from qwenbuild.report.escape import visible
from qwenbuild.report.terminal import cut

_SIGN = {"usd": "$"}


def price_words(price: Price | None) -> str:
    """`$0.03`, `12 credits`, `$0.03 + 12 credits`; `free` when it costs nothing, `price unknown` for None."""
    if price is None:
        return "price unknown"
    parts = [amount_words(unit, amount) for unit, amount in sorted(price.items()) if amount]
    return " + ".join(parts) or "free"


def amount_words(unit: str, amount: Decimal) -> str:
    """An amount with its unit: dollars with at least two places, others as they are."""
    if unit not in _SIGN:
        return f"{amount.normalize():,f} {visible(unit)}"
    cents = amount == amount.quantize(Decimal("0.01"))
    return _SIGN[unit] + (f"{amount:,.2f}" if cents else f"{amount.normalize():,f}")


def price_json(price: Price | None) -> dict[str, str] | None:
    """A price as the interface prints it: unit to decimal string, `{}` when free, None when unknown."""
    return None if price is None else {unit: decimal_text(amount) for unit, amount in sorted(price.items()) if amount}


def decimal_text(amount: Decimal) -> str:
    """A decimal without an exponent, cents kept: `0.03`, `0.10`, `60`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text and len(text.split(".")[1]) > 2 else text


def total(prices: list[Price]) -> dict[str, Decimal]:
    """Prices added up, unit by unit."""
    added: dict[str, Decimal] = {}
    for price in prices:
        for unit, amount in price.items():
            added[unit] = added.get(unit, Decimal(0)) + amount
    return added


def duration(seconds: float) -> str:
    """`0.4 s`, `15 s`, `3 min 20 s`, `1 h 40 min`."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def count(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `2,000 entries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# ---------------------------------------------------------------- reasons


def reason_words(reason: Reason, width: int = 200) -> str:
    """A reason as a phrase of at most `width` columns."""
    return cut(_PHRASES.get(reason.code, _other)(reason), width)


def _changed(reason: Reason) -> str:
    if reason.field == "variants" and reason.old is None and reason.new is None:
        return "more candidates are wanted"
    return f"{visible(reason.field)}: {change_words(reason.old, reason.new)}"


def _lost(reason: Reason) -> str:
    if reason.field == "approved":
        return "approved, but its picture is lost; `qwenbuild release` allows buying it again"
    return "lost: its picture cannot be found anywhere"


def _standing(words: str) -> Callable[[Reason], str]:
    return lambda reason: f"{words} ({value_words(reason.new)})" if reason.new not in (None, "") else words


def _resume(reason: Reason) -> str:
    if str(reason.new or "").startswith(NOT_FETCHED):
        return f"{visible(str(reason.new))}; it is fetched without paying again"
    return _standing("accepted already; its picture is collected")(reason)


def _table_moved(reason: Reason) -> str:
    moved = f" ({_changed(reason)})" if reason.field else ""
    return f"model table moved{moved}; the picture is kept"


def _caused_by(reason: Reason) -> str:
    return f"its input {_named(reason)} changes"


def _moved(reason: Reason) -> str:
    return f"moved from {_named(reason, old=True)}"


def _held(reason: Reason) -> str:
    changed = f" ({_changed(reason)})" if reason.field else ""
    return f"approved, keeps its picture{changed}"


def _pick_void(reason: Reason) -> str:
    changed = f" ({visible(reason.field)} changed)" if reason.field else ""
    old, new = (value_words(value or "?")[:12] for value in (reason.old, reason.new))
    return f"the pick is void{changed}: it was {old}, now it is {new}"


def _file(reason: Reason) -> str:
    return file_words(reason.field, value_words(reason.new) if reason.new else "")


_FILES = {
    "missing": "missing",
    "modified": "changed by hand, left alone",
    "pointer": "a git-LFS pointer, the bytes are in the cache",
    "pointer-other": "a git-LFS pointer to other bytes, left alone",
    "differs": "another version is in its place",
    "unlocked": "not in the lockfile yet",
    "no-picture": "waits for its picture",
    "unjudged": "not checked against its `expect` yet",
}


def file_words(path: str, reason: str) -> str:
    """A file and why it is not as it should be; without a path the reason alone."""
    return ": ".join(part for part in (visible(path), _FILES.get(reason, visible(reason))) if part)


def _refused(reason: Reason) -> str:
    cause = reason.new if reason.new not in (None, "") else reason.field
    return f"refused: {once(value_words(cause))}" if cause else "refused before; not sent again"


def _failed(reason: Reason) -> str:
    path = f"{visible(reason.field)}: " if reason.field not in ("", "expect", "inputs") else ""
    return f"failed its check: {path}{value_words(reason.new)}"


def cost_words(cost: Price, unknown_price: int) -> str:
    """The price of a plan, with what is not known of it."""
    unknown = count(unknown_price, "picture") + " at an unknown price" if unknown_price else ""
    if unknown and not cost:
        return unknown
    return f"{price_words(cost)} + {unknown}" if unknown else price_words(cost) if cost else "nothing"


def price_of(amounts: Mapping[str, Any] | None) -> dict[str, Decimal]:
    """A price as JSON has it."""
    return {unit: Decimal(str(amount)) for unit, amount in (amounts or {}).items()}


def further_words(most: Price | None) -> str:
    """What a build costs at the most, where checks may ask for further pictures; None: they may not."""
    return f"; at most {price_words(most)} where checks ask for other seeds" if most else ""


def verdict_words(verdict: CheckVerdict) -> str:
    """A check's verdict in one line."""
    limit = f" (limit {verdict.threshold})" if verdict.threshold else ""
    measured = f"  {verdict.measured}{limit}" if verdict.measured else ""
    return f"{verdict.verdict}{measured}" + (f": {verdict.fault}" if verdict.fault else "")


def once(text: str) -> str:
    """`text` without the code that it begins with twice, as in `Refused: Refused: because`."""
    code, colon, rest = text.partition(": ")
    return rest if colon and rest.startswith(code + ": ") else text


def _other(reason: Reason) -> str:
    return _changed(reason) if reason.field else visible(reason.code)


_PHRASES = {
    "new": lambda reason: "new",
    "changed": _changed,
    "lost": _lost,
    "forced": lambda reason: "forced: bought again",
    "limit": lambda reason: "left for a later build by --limit",
    "caused-by": _caused_by,
    "moved": _moved,
    "table-moved": _table_moved,
    "held": _held,
    "imported": lambda reason: "imported: somebody else drew it, and the lockfile does not name it yet",
    "unjudged": lambda reason: "not checked against `expect` yet",
    "unpicked": lambda reason: f"none of {reason.new} candidates is picked" if reason.new else "no candidate is picked yet",
    "pick-void": _pick_void,
    "rejected": lambda reason: "every candidate is rejected; `qwenbuild reroll` adds one",
    "file": _file,
    "pointer": lambda reason: f"{visible(reason.field)}: {value_words(reason.new)}",
    "refused": _refused,
    "failed": _failed,
    "doubt": _standing("sent before, no answer was stored: perhaps charged"),
    "resume": _resume,
    "recover": _standing("sent already; the provider is asked for it"),
}


def _named(reason: Reason, *, old: bool = False) -> str:
    value = reason.old if old else reason.new
    return value_words(next((part for part in (value, reason.new, reason.old, reason.field) if part), "?"))


def value_words(value: Any) -> str:
    """A manifest's value on one line."""
    if value is None:
        return "none"
    if value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(value_words(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(key))}={value_words(item)}" for key, item in value.items())
    return visible(" ".join(str(value).split()))


def change_words(old: Any, new: Any, width: int = 60) -> str:
    """What changed between two values; between two texts only the words that differ."""
    if isinstance(old, str) and isinstance(new, str):
        return _words_changed(old.split(), new.split(), width)
    return f"{_or_none(cut(value_words(old), width))} → {_or_none(cut(value_words(new), width))}"


def _words_changed(old: list[str], new: list[str], width: int) -> str:
    before, after = _middle(old, new)
    half = max(12, width // 2)
    if not before and not after:
        return "only blanks and line breaks"
    removed, added = _without_shared_end(" ".join(before), " ".join(after))
    removed, added = cut(visible(removed), half), cut(visible(added), half)
    if not removed:
        return f"added “{added}”" if old else f"none → {added}"
    if not added:
        return f"removed “{removed}”" if new else f"{removed} → none"
    return f"{removed} → {added}"


def _middle(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Both word lists without what they share at their beginning and at their end."""
    start, shortest = 0, min(len(old), len(new))
    while start < shortest and old[start] == new[start]:
        start += 1
    end = 0
    while end < shortest - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


def _without_shared_end(old: str, new: str) -> tuple[str, str]:
    """Both without the punctuation that both end with."""
    while old and new and old[-1] == new[-1] and old[-1] in ".,;:!?":
        old, new = old[:-1], new[:-1]
    return old, new


def _or_none(text: str) -> str:
    return text or "none"
