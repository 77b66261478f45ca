"""A plan as text for a person: a few entries one by one, thousands by asset and reason, then what it all costs.

Does not know who asks (`plan`, `status`, the gate); all foreign text goes through `visible`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from qwenbuild.model import AtlasPlan, Orphan, Plan, Price, Step, Verdict
from qwenbuild.report.escape import visible
from qwenbuild.report.plan_json import step_price
from qwenbuild.report.terminal import Terminal, cells, cut, pad, wrap
from qwenbuild.report.words import (
    amount_words,
    cost_words,
    count,
    duration,
    file_words,
    further_words,
    price_of,
    price_words,
    reason_words,
    total,
)

FEW = 24
"""Up to so many entries with something to do are listed one by one."""
ASSETS = 30
"""So many assets are shown when entries are grouped; the rest is counted."""
GROUPS = 4
"""So many reasons a verdict of an asset; the rest is counted."""
VERDICT = 10

_ROLE = {
    "generate": "green",
    "doubt": "red",
    "refused": "red",
    "failed": "red",
    "recover": "cyan",
    "resume": "cyan",
    "restore": "cyan",
    "derive": "cyan",
    "modified": "yellow",
    "held": "magenta",
    "unpicked": "magenta",
    "orphan": "yellow",
}
OPEN = frozenset({"unpicked", "pick-void", "rejected"})
"""Reasons that a person has still to choose; nothing is out of date by them."""
_ORDER = [*(verdict.value for verdict in Verdict), "held", "unpicked"]


def plan_lines(plan: Plan, terminal: Terminal) -> Iterator[str]:
    """The entries that are not simply fresh, then orphans; no last line yet. `-v` lists every entry there is."""
    active = list(plan.steps) if terminal.verbose else [s for s in plan.busy if label(s) != Verdict.FRESH.value]
    if len(active) <= FEW or terminal.verbose:
        yield from _listed(active, terminal)
    else:
        yield from _grouped(plan.busy, terminal)
    yield from _atlases(plan.atlases, terminal)
    yield from _orphans(plan.orphans, terminal)


def plan_summary(plan: Plan, terminal: Terminal) -> Iterator[str]:
    """What will happen in all, what it costs and how long it takes: one to three lines."""
    packing = _packing(plan.atlases)
    if not packing and not _busy(plan.counts, "fresh"):
        yield terminal.style(f"Nothing to do: {count(plan.counts.get('fresh', 0), 'entry is', 'entries are')} fresh.", "bold")
        return
    yield from wrapped("Plan: ", [*count_words(plan.counts), *packing], terminal)
    priced = plan.counts.get("generate", 0)
    cost = cost_words(plan.cost, plan.unknown_price) + _picture_words(plan) + _time_words(plan.seconds) if priced else "nothing"
    yield terminal.style(f"Cost: {cost}{further_words(plan.further_cost and plan.most)}.", "bold")


def _picture_words(plan: Plan) -> str:
    """How many pictures are made where entries have several candidates."""
    if all(len(step.candidates) == 1 for step in plan.busy):
        return ""
    bought = ((step, item) for step in plan.busy for item in step.candidates if item.verdict is Verdict.GENERATE)
    keys = [item.candidate.key for step, item in bought if plan.allowed is None or step.name_of(item.candidate) in plan.allowed]
    pictures = len(set(keys) - {""}) + keys.count("")
    return f" for {count(pictures, 'picture')}" if pictures > plan.counts.get("generate", 0) else ""


def _packing(atlases: Sequence[AtlasPlan]) -> list[str]:
    number = sum(atlas.verdict is Verdict.DERIVE for atlas in atlases)
    return [f"{count(number, 'atlas', 'atlases')} to pack"] if number else []


def counted_lines(summary: Mapping[str, Any], terminal: Terminal) -> Iterator[str]:
    """The same of a summary's JSON, as a run tells it; nothing where nothing is to do."""
    counts = {name: int(summary.get(name, 0)) for name in _COUNTED}
    if not _busy(counts, "fresh"):
        return
    yield from wrapped("Plan: ", count_words(counts), terminal)
    if counts["generate"]:
        cost, most = price_of(summary.get("cost")), price_of(summary.get("most"))
        words = cost_words(cost, int(summary.get("unknown_price", 0)))
        yield f"Cost: {words}{_time_words(float(summary.get('seconds', 0)))}{further_words(most)}."


def _busy(counts: Mapping[str, int], *idle: str) -> bool:
    return any(number for name, number in counts.items() if name in _COUNTED and name not in idle)


def status_summary(plan: Plan, terminal: Terminal) -> Iterator[str]:
    """The state in all, for `status`."""
    chosen = choice_words(plan)
    packing = _packing(plan.atlases)
    if not packing and not _busy(plan.counts, "fresh", "held"):
        fresh = count(plan.counts.get("fresh", 0), "entry", "entries")
        yield terminal.style(f"Up to date: {fresh}{f' ({chosen})' if chosen else ''}.", "bold")
        return
    yield from wrapped("Not up to date: ", [*count_words(plan.counts), *packing], terminal)
    if chosen:
        yield f"Choices: {chosen}."


def choice_words(plan: Plan) -> str:
    """How many entries people approved, how many of them are held, and how many wait for a pick."""
    numbers = {
        "approved": sum(step.approved for step in plan.busy),
        "held": sum(step.held for step in plan.busy),
        "unpicked": sum(label(step) == "unpicked" for step in plan.busy),
    }
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)


def count_words(counts: Mapping[str, int]) -> list[str]:
    """`2 to generate`, `1 to restore`, … in the order of cost; what does not occur is left out."""
    one = {"failed": "failed its check"}
    numbers = (
        (counts.get(name, 0), one.get(name, words) if counts.get(name, 0) == 1 else words) for name, words in _COUNTED.items()
    )
    return [f"{number:,} {words}" for number, words in numbers if number]


_COUNTED = {
    "generate": "to generate",
    "doubt": "in doubt",
    "refused": "refused",
    "failed": "failed their check",
    "recover": "to recover",
    "resume": "to resume",
    "restore": "to restore",
    "derive": "to derive",
    "modified": "modified by hand",
    "held": "held",
    "orphan": "orphaned",
    "left": "left for later builds",
    "fresh": "fresh",
}


def label(step: Step) -> str:
    """The word an entry is shown with: its verdict, or that it is held or waits for a pick where it is fresh otherwise."""
    if step.verdict is not Verdict.FRESH:
        return step.verdict.value
    if step.held:
        return "held"
    return "unpicked" if any(reason.code in OPEN for reason in step.reasons) else Verdict.FRESH.value


def wrapped(head: str, parts: Sequence[str], terminal: Terminal) -> Iterator[str]:
    """`head` and the parts with commas, broken at the width, ended with a full stop."""
    line, indent = head, " " * len(head)
    for index, part in enumerate(parts):
        piece = part + ("." if index == len(parts) - 1 else ", ")
        if line.strip() and cells(line) + cells(piece.rstrip()) > terminal.width:
            yield line.rstrip()
            line = indent
        line += piece
    yield line.rstrip()


def _time_words(seconds: float) -> str:
    return f", about {duration(max(1, round(seconds)))} at the provider's rate" if seconds else ""


# ---------------------------------------------------------------- one by one


def _listed(steps: Sequence[Step], terminal: Terminal) -> Iterator[str]:
    longest = max((cells(visible(step.id)) for step in steps), default=0)
    column = min(longest, terminal.width // 2 - VERDICT)
    asset = ""
    for step in steps:
        if step.keyed.entry.asset != asset:
            asset = step.keyed.entry.asset
            yield terminal.style(visible(asset), "bold")
        yield from _entry(step, column, terminal)
    if steps:
        yield ""


def _entry(step: Step, column: int, terminal: Terminal) -> Iterator[str]:
    """One line: verdict, id, reason, price. Reasons that do not fit stand below, indented."""
    name, price = label(step), _price(step)
    room = terminal.width - VERDICT - 2 - column - 2 - (len(price) + 2 if price else 0)
    reasons = entry_reasons(step, 3 * (terminal.width - VERDICT - 6))
    identity = visible(step.id)
    remark = reasons[0] if reasons and cells(identity) <= column and cells(reasons[0]) <= room else ""
    left = f"{pad(identity, column)}  {remark}" if remark else identity
    painted = terminal.style(pad(name, VERDICT), _ROLE.get(name, ""))
    yield _priced(f"  {painted}{left}", 2 + VERDICT + cells(left), price, terminal)
    for text in reasons[1:] if remark else reasons:
        for line in wrap(text, terminal.width - VERDICT - 4):
            yield " " * (VERDICT + 4) + terminal.style(line, "dim")


def entry_reasons(step: Step, width: int) -> list[str]:
    """An entry's reasons as phrases; where the planner gave none, the files that are not as they should be."""
    if step.reasons:
        return [reason_words(reason, width) for reason in step.reasons]
    files = [output for output in step.outputs if output.verdict is not Verdict.FRESH]
    phrases = [cut(file_words(output.spec.path, output.reason), width) for output in files]
    return phrases if len(phrases) <= 3 else [*phrases[:2], f"and {len(phrases) - 2} more files"]


def _price(step: Step) -> str:
    if step.verdict is not Verdict.GENERATE:
        return ""
    price = step_price(step)
    return "" if price is not None and not any(price.values()) else price_words(price)


def _priced(line: str, width: int, price: str, terminal: Terminal) -> str:
    """`line` (`width` columns) with `price` flush right, or after two blanks where the line is too long."""
    if not price:
        return line.rstrip()
    return line + " " * max(2, terminal.width - width - len(price)) + price


# ---------------------------------------------------------------- by asset and reason


@dataclass(slots=True)
class _Group:
    """Entries of one asset with one verdict and the same reason."""

    name: str
    reason: str
    ids: list[str]
    prices: list[Price]
    number: int = 0
    unknown: int = 0


def _grouped(steps: Sequence[Step], terminal: Terminal) -> Iterator[str]:
    assets: dict[str, list[Step]] = {}
    for step in steps:
        assets.setdefault(step.keyed.entry.asset, []).append(step)
    busy = {name: group for name, group in assets.items() if any(label(step) != "fresh" for step in group)}
    for name in list(busy)[:ASSETS]:
        yield from _asset(name, busy[name], terminal)
    if len(busy) > ASSETS:
        rest = sum(len(busy[name]) for name in list(busy)[ASSETS:])
        yield f"… and {count(len(busy) - ASSETS, 'more asset')} with {count(rest, 'entry', 'entries')} (-v lists every one)"
        yield ""


def _asset(name: str, steps: Sequence[Step], terminal: Terminal) -> Iterator[str]:
    yield f"{terminal.style(visible(name), 'bold')}  {terminal.style(count(len(steps), 'entry', 'entries'), 'dim')}"
    for _, same in groupby(_groups(steps, terminal.width - VERDICT - 30), key=lambda group: group.name):
        groups = list(same)
        for group in groups[:GROUPS]:
            yield from _group(group, terminal)
        if rest := groups[GROUPS:]:
            yield _rest(rest, terminal)
    yield ""


def _groups(steps: Sequence[Step], width: int) -> list[_Group]:
    """Groups by verdict and reason, costliest verdict first, then the largest; reasons too many to tell apart are merged."""
    by_reason = {(id(s.reasons), s.verdict): s for s in steps if s.reasons}  # most have one, as one object
    words = {key: _shared_reason(step, width) for key, step in by_reason.items()}

    def reasoned() -> Iterator[tuple[Step, str, str]]:
        return ((s, label(s), words.get((id(s.reasons), s.verdict)) or _shared_reason(s, width)) for s in steps)

    groups = _gathered(reasoned())
    if len(groups) > GROUPS:
        few = {place for place, group in groups.items() if group.number < 3}
        coarse = ((s, name, (_fields(s) or said) if (name, said) in few else said) for s, name, said in reasoned())
        groups = _gathered(coarse)
    return sorted(groups.values(), key=lambda group: (_ORDER.index(group.name), -group.number))


def _gathered(reasoned: Iterable[tuple[Step, str, str]]) -> dict[tuple[str, str], _Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for step, name, reason in reasoned:
        group = groups.get((name, reason))
        if group is None:
            group = groups[name, reason] = _Group(name, reason, [], [])
        _add(group, step)
    return groups


def _add(group: _Group, step: Step) -> None:
    group.number += 1
    if len(group.ids) < 4:
        group.ids.append(step.id)
    if step.verdict is Verdict.GENERATE:
        price = step_price(step)
        group.unknown += price is None
        if price:
            group.prices.append(price)


def _shared_reason(step: Step, width: int) -> str:
    """The reason that entries are grouped by: files are not named, several reasons are joined."""
    if step.verdict is Verdict.FRESH and label(step) == "fresh":
        return ""
    words = [file_words("files", str(r.new or "")) if r.code == "file" else reason_words(r, width) for r in step.reasons]
    words = list(dict.fromkeys(words or [output.reason and file_words("files", output.reason) for output in step.outputs]))
    return words[0] if len(words) == 1 else cut("; ".join(word for word in words if word), width)


def _fields(step: Step) -> str:
    """The coarser reason of a changed entry: only the names of what changed."""
    names = dict.fromkeys(visible(reason.field) for reason in step.reasons if reason.code == "changed")
    return f"{', '.join(names)}: all different" if names else ""


def _group(group: _Group, terminal: Terminal) -> Iterator[str]:
    role = "dim" if group.name == "fresh" else _ROLE.get(group.name, "")
    number = f"{group.number:>7,}"
    left = f"{number}  {group.reason}".rstrip()
    painted = f"  {terminal.style(pad(group.name, VERDICT), role)}{left}"
    yield _priced(painted, 2 + VERDICT + cells(left), _group_price(group), terminal)
    if group.name != "fresh":
        indent = 2 + VERDICT + 9
        yield " " * indent + terminal.style(_examples(group, terminal.width - indent), "dim")


def _examples(group: _Group, width: int) -> str:
    """As many ids as fit, and how many more there are."""
    shown = [visible(identity) for identity in group.ids]
    while shown:
        text = ", ".join(shown) + (f", … {left:,} more" if (left := group.number - len(shown)) else "")
        if cells(text) <= width or len(shown) == 1:
            return cut(text, width)
        shown.pop()
    return ""


def _group_price(group: _Group) -> str:
    price = " + ".join(amount_words(unit, amount) for unit, amount in sorted(total(group.prices).items()) if amount)
    unknown = f"{group.unknown:,} unknown" if group.unknown else ""
    return " + ".join(part for part in (price, unknown) if part)


def _rest(groups: Sequence[_Group], terminal: Terminal) -> str:
    merged = _Group("", "", [], [price for group in groups for price in group.prices])
    merged.unknown = sum(group.unknown for group in groups)
    number = sum(group.number for group in groups)
    left = f"{number:>7,}  for {count(len(groups), 'other reason')} (-v lists every one)"
    name = groups[0].name
    painted = f"  {terminal.style(pad(name, VERDICT), _ROLE.get(name, ''))}{left}"
    return _priced(painted, 2 + VERDICT + len(left), _group_price(merged), terminal)


# ---------------------------------------------------------------- atlases


def _atlases(atlases: Sequence[AtlasPlan], terminal: Terminal) -> Iterator[str]:
    busy = [atlas for atlas in atlases if atlas.verdict is not Verdict.FRESH]
    if not busy:
        return
    yield terminal.style("atlases", "bold")
    for atlas in busy:
        name = atlas.verdict.value
        size = f" of {count(len(atlas.members), 'file')}" if atlas.members else ""
        words = f"{visible(atlas.name)}{size}: {visible(atlas.reason)}"
        yield f"  {terminal.style(pad(name, VERDICT), _ROLE.get(name, ''))}{words}"
    yield ""


# ---------------------------------------------------------------- orphans


def _orphans(orphans: Sequence[Orphan], terminal: Terminal) -> Iterator[str]:
    if not orphans:
        return
    yield terminal.style("no longer in the manifest", "bold") + terminal.style("  `qwenbuild clean` removes the files", "dim")
    shown = orphans if terminal.verbose or len(orphans) <= FEW else orphans[: FEW // 2]
    for orphan in shown:
        yield f"  {terminal.style(pad('orphan', VERDICT), 'yellow')}{visible(orphan.path or orphan.id)}{_why_kept(orphan)}"
    if len(shown) < len(orphans):
        yield f"  … and {len(orphans) - len(shown):,} more (-v lists every one)"
    yield ""


def _why_kept(orphan: Orphan) -> str:
    return "  (kept: changed by hand, or the only copy)" if orphan.present and not orphan.removable else ""
