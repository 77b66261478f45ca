"""Verdicts of checks, kept in the cache: looked up for a plan, found for what nobody judged yet.

Knows no lane and no provider: whatever is judged here is judged on this machine, and for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from qwenbuild.cache import Cache
from qwenbuild.errors import CacheError
from qwenbuild.key import judgement_key
from qwenbuild.later import later
from qwenbuild.model import CheckVerdict, Entry, verdict_of, verdict_record
from qwenbuild.plan import SetFacts

with later:
    from qwenbuild import checks

Read = Callable[[], bytes]
Verdicts = dict[str, CheckVerdict]


@dataclass(frozen=True, slots=True)
class CachedVerdicts:
    """The verdicts of one picture, by check: changing one check judges none of the others again."""

    cache: Cache
    digest: str

    def get(self, name: str, parameters: Any) -> CheckVerdict | None:
        """The verdict, None when nobody looked yet."""
        return next(iter(verdicts_of(self.cache, {name: parameters}, self.digest) or ()), None)

    def put(self, name: str, parameters: Any, verdict: CheckVerdict) -> None:
        """Note the verdict."""
        _note(self.cache, {name: parameters}, self.digest, (verdict,))


def verdicts_of(cache: Cache, expect: Mapping[str, Any], digest: str) -> tuple[CheckVerdict, ...] | None:
    """What was found when these bytes were held against the expectation; None when nobody did, or details were not kept."""
    details = cache.judged_details(judgement_key(expect, digest))
    return tuple(map(verdict_of, details)) or None


def fails_of(cache: Cache, expect: Mapping[str, Any], digest: str, read: Read) -> str:
    """What bytes fail of an expectation, every sentence, "" when nothing. Raises PluginFailed, and what `read` raises."""
    fails = cache.judgement(judgement_key(expect, digest))
    return _faults(judged(cache, expect, digest, read)) if fails is None else fails


def judged(cache: Cache, expect: Mapping[str, Any], digest: str, read: Read) -> tuple[CheckVerdict, ...]:
    """A verdict for each check; what was found before is not looked for again. Raises PluginFailed, and what `read` raises."""
    verdicts = verdicts_of(cache, expect, digest)
    if verdicts is None:
        verdicts = checks.judge(read(), expect, CachedVerdicts(cache, digest))
        _note(cache, expect, digest, verdicts)
    return verdicts


def _note(cache: Cache, expect: Mapping[str, Any], digest: str, verdicts: Sequence[CheckVerdict]) -> None:
    details = [verdict_record(verdict) for verdict in verdicts]
    cache.put_judgement(judgement_key(expect, digest), _faults(verdicts), details)


def _faults(verdicts: Iterable[CheckVerdict]) -> str:
    return "; ".join(verdict.fault for verdict in verdicts if verdict.verdict == "fail")


# ---------------------------------------------------------------- sets


@dataclass(frozen=True, slots=True)
class SetVerdicts:
    """What the checks of sets found, by entry id; `unjudged` are entries of which a set was not judged as it stands."""

    verdicts: Mapping[str, tuple[CheckVerdict, ...]] = field(default_factory=dict)
    unjudged: frozenset[str] = frozenset()

    def facts(self) -> SetFacts:
        """As a plan reads them."""
        faults = {id: fault for id, verdicts in self.verdicts.items() if (fault := _faults(verdicts))}
        return SetFacts(faults, self.unjudged)


def look_of(cache: Cache, digest: str, read: Read) -> Mapping[str, Any]:
    """What a picture is compared by, taken once. Raises ValueError when it cannot be decoded, and what `read` raises."""
    key = checks.look_key(digest)
    look = next(iter(cache.judged_details(key)), None)
    if look is None:
        look = checks.look_at(read())
        cache.put_judgement(key, "", [look])
    return look


def known_set_verdicts(
    cache: Cache, entries: Sequence[Entry], digests: Mapping[str, Sequence[str]], at_hand: Callable[[str], bool]
) -> SetVerdicts:
    """What was found before of the sets of these entries with these pictures. Unjudged are those whose pictures are all at
    hand: of the others nobody can say more.
    """
    return _collected(checks.sets_of(entries, digests), lambda group: _known_group(cache, group), at_hand)


def set_verdicts(
    cache: Cache, entries: Sequence[Entry], digests: Mapping[str, Sequence[str]], read: Callable[[str], bytes]
) -> SetVerdicts:
    """The same, and the others are found, where the bytes of all their pictures are to be had (`read`, else CacheError)."""
    groups = checks.sets_of(entries, digests)
    return _collected(groups, lambda group: _known_group(cache, group) or _judged_group(cache, group, read), lambda _: True)


def _collected(
    groups: Iterable[checks.PictureSet], judge: Callable[[checks.PictureSet], Verdicts | None], at_hand: Callable[[str], bool]
) -> SetVerdicts:
    verdicts: dict[str, list[CheckVerdict]] = {}
    unjudged: set[str] = set()
    for group in groups:
        judged = judge(group)
        if judged is None and all(map(at_hand, group.digests)):
            unjudged.update(group.ids)
        for id, verdict in (judged or {}).items():
            verdicts.setdefault(id, []).append(verdict)
    return SetVerdicts({id: tuple(judged) for id, judged in verdicts.items()}, frozenset(unjudged))


def _known_group(cache: Cache, group: checks.PictureSet) -> Verdicts | None:
    verdicts = {str(item["id"]): verdict_of(item["verdict"]) for item in cache.judged_details(group.key)}
    return verdicts or None


def _judged_group(cache: Cache, group: checks.PictureSet, read: Callable[[str], bytes]) -> Verdicts | None:
    """A picture that cannot be decoded fails, and is compared with none."""
    looks: dict[str, Mapping[str, Any]] = {}
    broken: dict[str, str] = {}
    try:
        for digest in dict.fromkeys(group.digests):
            try:
                looks[digest] = look_of(cache, digest, partial(read, digest))
            except ValueError as error:
                broken[digest] = str(error)
        verdicts = checks.judge_set(
            group, looks, broken, lambda digest, expect: judged(cache, expect, digest, partial(read, digest))
        )
    except CacheError:
        return None
    details = [{"id": id, "verdict": verdict_record(verdict)} for id, verdict in verdicts.items()]
    cache.put_judgement(group.key, "", details)
    return verdicts
