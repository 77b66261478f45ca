"""Which entries a command is about: ids, globs, `tag:`, `asset:`, `path:` and `atlas:` selectors.

Knows no plan and no file: it looks at entries only.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from qwenbuild.errors import InputError, Problem
from qwenbuild.model import Atlas, Entry
from qwenbuild.nearmiss import did_you_mean, near

KINDS = ("tag", "asset", "path", "atlas")
MOST_COMPARED = 20_000
"""How many names a near miss is looked for in; more would take seconds."""

_GLOB = re.compile(r"[*?\[]")
_GLOBS = re.compile(r"[*?\[\]!]+")
_PARTS = re.compile(r"[/_. -]+")


def select(entries: Sequence[Entry], selectors: Sequence[str], atlases: Sequence[Atlas] = ()) -> frozenset[str]:
    """The ids that any of the selectors names; every id when there are none.

    Raises InputError with code `no-match` and a near miss for each selector that names nothing.
    """
    if not selectors:
        return frozenset(entry.id for entry in entries)
    ids = {entry.id for entry in entries}
    chosen: set[str] = set()
    problems = []
    for selector in selectors:
        matches = _found(selector, entries, ids, atlases, ())
        if not matches:
            problems.append(_nothing(selector, entries, atlases))
        chosen |= matches
    if problems:
        raise InputError(problems[0].message, code="no-match", problems=tuple(problems))
    return frozenset(chosen)


def pulled(entries: Sequence[Entry], ids: Iterable[str]) -> frozenset[str]:
    """The entries whose pictures the named ones need, through any number of inputs, without the named ones."""
    start = frozenset(ids)
    needs = {entry.id: [ref.entry for ref in entry.inputs if ref.entry is not None] for entry in entries if entry.inputs}
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        for need in needs.get(waiting.pop(), ()):
            if need not in seen:
                seen.add(need)
                waiting.append(need)
    return frozenset(seen - start)


def glob(pattern: str) -> Callable[[str], object]:
    """A matcher of whole texts: `*` and `?` stay within a part, `**` crosses `/`, `[…]` is a set, `[!…]` its opposite."""
    return re.compile(_regex(pattern), re.DOTALL).fullmatch


def nearest(word: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """The names that were perhaps meant: alike as a whole, else those with a part that is; capitals and globs do not count."""
    plain = _GLOBS.sub("", word).strip("/").casefold()
    names = list(itertools.islice(candidates, MOST_COMPARED))
    folded = {name.casefold(): name for name in reversed(names)}
    likely = [name for name in folded if abs(len(name) - len(plain)) <= max(2, len(plain) // 3)]
    whole = near(plain, likely)
    if whole or not plain:
        return [folded[name] for name in whole]
    parts: dict[str, list[str]] = {}
    for name in names:
        for part in {name.casefold(), *_PARTS.split(name.casefold())}:
            parts.setdefault(part, []).append(name)
    last = plain.rpartition("/")[2]
    alike = [last] if last in parts else near(last, parts)
    return parts[alike[0]][:most] if alike else [name for name in names if last and last in name.casefold()][:most]


def _found(
    selector: str, entries: Sequence[Entry], ids: set[str], atlases: Sequence[Atlas], within: tuple[str, ...]
) -> set[str]:
    if selector in ids:
        return {selector}
    kind, colon, rest = selector.partition(":")
    if colon and kind == "atlas":
        return _of_atlas(rest, entries, ids, atlases, within)
    if colon and kind in KINDS:
        return _of_kind(kind, _matcher(rest), entries)
    if not _GLOB.search(selector):
        return set()
    match = glob(selector)
    return {name for name in ids if match(name)}


def _of_kind(kind: str, match: Callable[[str], object], entries: Sequence[Entry]) -> set[str]:
    if kind == "tag":
        tags = {tags for tags in {entry.tags for entry in entries} if any(map(match, tags))}
        return {entry.id for entry in entries if entry.tags in tags}
    if kind == "asset":
        names = {name for name in {entry.asset for entry in entries} if match(name)}
        return {entry.id for entry in entries if entry.asset in names}
    return {entry.id for entry in entries for output in entry.outputs if match(output.path)}


def _of_atlas(
    name: str, entries: Sequence[Entry], ids: set[str], atlases: Sequence[Atlas], within: tuple[str, ...]
) -> set[str]:
    if name in within:
        raise InputError(f"atlas {name!r} selects itself ({' → '.join((*within, name))})", code="atlas-cycle")
    match = _matcher(name)
    chosen: set[str] = set()
    for atlas in atlases:
        if match(atlas.name):
            chosen |= _found(atlas.select, entries, ids, atlases, (*within, atlas.name))
    return chosen


def _matcher(pattern: str) -> Callable[[str], object]:
    return glob(pattern) if _GLOB.search(pattern) else pattern.__eq__


def _regex(pattern: str) -> str:
    out, at = [], 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            end = at + len(pattern[at:]) - len(pattern[at:].lstrip("*"))
            whole_part = at == 0 or pattern[at - 1] == "/"
            folder = whole_part and pattern.startswith("/", end)
            out.append("(?:.*/)?" if folder else ".*")
            at = end + folder
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2 + pattern.startswith("!", at + 1))) > 0:
            out.append(_set(pattern[at + 1 : end]))
            at = end + 1
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at]) or re.escape(pattern[at]))
            at += 1
    return "".join(out)


def _set(body: str) -> str:
    negated = body.startswith("!")
    members = re.sub(r"([\\\[\]^&~|])", r"\\\1", body[negated:])
    members = re.sub(r"(.)-(.)", lambda m: m[0] if m[1] <= m[2] else rf"{m[1]}\-{m[2]}", members)
    return f"(?!/)[{'^' if negated else ''}{members}]"


def _nothing(selector: str, entries: Sequence[Entry], atlases: Sequence[Atlas]) -> Problem:
    kind, colon, rest = selector.partition(":")
    if not (colon and kind in KINDS):
        kind, rest = "", selector
    names = {
        "": lambda: (entry.id for entry in entries),
        "tag": lambda: (tag for entry in entries for tag in entry.tags),
        "asset": lambda: (entry.asset for entry in entries),
        "path": lambda: (output.path for entry in entries for output in entry.outputs),
        "atlas": lambda: (atlas.name for atlas in atlases),
    }[kind]()
    candidates = dict.fromkeys(names)
    if not kind and any(entry.asset == rest for entry in entries):
        return Problem("no-match", f"no entry is called {selector!r}", hint=f"for the whole asset write asset:{rest}")
    prefix = f"{kind}:" if kind else ""
    hint = did_you_mean([prefix + name for name in nearest(rest, candidates)], quote="")
    return Problem("no-match", f"{selector!r} matches nothing", hint=hint)
