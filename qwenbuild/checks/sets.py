"""Which pictures are judged together, and what each check finds of them: groups as values, from entries and digests.

Knows no cache: looks and verdicts that were found before are handed in by who keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwenbuild.checks import local
from qwenbuild.checks.check import VERSION, Measurement
from qwenbuild.key import canonical, judgement_key
from qwenbuild.model import CheckVerdict, Entry

OWN = "entry"
"""The set of an entry's own candidates."""
LOOK_VERSION = 1
"""Raised with whatever changes what a look is made of."""
Look = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures that one check judges together. `members` are (entry id, picture's digest) in the manifest's order; `anchor`
    is the entry that each is compared with, where it is not with one another. Of an `owner` the members are its own candidates,
    each named by its digest, and the verdict is the entry's.
    """

    check: str
    parameters: Mapping[str, Any]
    members: tuple[tuple[str, str], ...]
    anchor: tuple[str, str] = ("", "")
    owner: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The entries that are judged."""
        return (self.owner,) if self.owner else tuple(id for id, _ in self.members)

    @property
    def key(self) -> str:
        """What stands for the check, its parameters and every picture."""
        pictures = [list(member) for member in (*self.members, self.anchor)]
        return judgement_key({self.check: self.parameters, "looks": LOOK_VERSION, "pictures": pictures}, "")

    @property
    def digests(self) -> tuple[str, ...]:
        """The pictures that have to be looked at."""
        return tuple(digest for _, digest in (*self.members, self.anchor) if digest)


def look_key(digest: str) -> str:
    """What stands for a picture's look."""
    return judgement_key({"look": LOOK_VERSION}, digest)


def anchor_of(name: str, parameters: Mapping[str, Any]) -> str:
    """The entry that a check compares with, "" when it is the others of a set."""
    return str(parameters["to"] if name == "likeness" else parameters["of"] if name == "palette" else "")


def anchors(entry: Entry) -> list[str]:
    """The entries that an entry is compared with."""
    return [id for name, parameters in (entry.set_checks or {}).items() if (id := anchor_of(name, parameters))]


def sets_of(entries: Iterable[Entry], digests: Mapping[str, Sequence[str]]) -> tuple[PictureSet, ...]:
    """The sets of the entries that have a picture: of each the digest in use, then those of its other candidates. A set whose
    anchor has no picture is left out.
    """
    groups: list[PictureSet] = []
    by_place: dict[tuple[str, bytes, str], tuple[Mapping[str, Any], list[tuple[str, str]]]] = {}
    for entry in entries:
        if entry.set_checks is None or entry.id not in digests:
            continue
        for name, parameters in entry.set_checks.items():
            within = str(parameters.get("within", "")) if name != "palette" else ""
            if within == OWN:
                own = tuple((digest, digest) for digest in sorted(set(digests[entry.id])))
                groups.append(PictureSet(name, parameters, own, owner=entry.id))
                continue
            place = (name, canonical(parameters), entry.asset if within == "asset" else within)
            by_place.setdefault(place, (parameters, []))[1].append((entry.id, digests[entry.id][0]))
    for (name, _, _), (parameters, members) in by_place.items():
        anchor = anchor_of(name, parameters)
        if not anchor:
            groups.append(PictureSet(name, parameters, tuple(members)))
        elif anchor in digests:
            groups.append(PictureSet(name, parameters, tuple(members), (anchor, digests[anchor][0])))
    return tuple(groups)


def judge_set(
    group: PictureSet,
    looks: Mapping[str, Look],
    broken: Mapping[str, str],
    beside: Callable[[str, Mapping[str, Any]], Sequence[CheckVerdict]],
) -> dict[str, CheckVerdict]:
    """A verdict for each member. `looks` and `broken` map digests to a look, or to why there is none; `beside` judges one
    picture, by its digest, with an expectation of its own.
    """
    version, anchor = str(group.parameters[VERSION]), group.anchor
    failed = {id: Measurement(broken[digest]) for id, digest in group.members if digest in broken}
    if anchor[1] in broken:
        fault = Measurement(f"the picture of {anchor[0]} cannot be compared with: {broken[anchor[1]]}")
        failed = {id: fault for id, _ in group.members}
    whole = [(id, digest) for id, digest in group.members if id not in failed]
    verdicts = {id: finding.verdict(group.check, version) for id, finding in failed.items()}
    if group.check == "palette" and whole:
        expect = {"palette": {**group.parameters, "colours": ",".join(looks[anchor[1]]["colours"]), "of": ""}}
        return verdicts | {id: _of_anchor(beside(digest, expect)[0], anchor[0]) for id, digest in whole}
    members = [local.member(id, digest, looks[digest]) for id, digest in whole]
    findings = local.set_judge_of(group.check)(members, local.member(*anchor, looks.get(anchor[1], {})), group.parameters)
    verdicts |= {id: finding.verdict(group.check, version) for id, finding in findings.items()}
    return {group.owner: _of_candidates(group.check, version, verdicts)} if group.owner else verdicts


def _of_candidates(check: str, version: str, verdicts: Mapping[str, CheckVerdict]) -> CheckVerdict:
    """What is to be said of an entry whose candidates are alike: a warning, for another picture would mend nothing."""
    alike = [verdict for verdict in verdicts.values() if verdict.verdict == "fail"]
    if not alike:
        lowest = min(verdicts.values(), key=lambda verdict: (verdict.measured == "", verdict.measured), default=None)
        return CheckVerdict(check, "pass", "", lowest.threshold if lowest else "", version=version)
    words = (
        "its candidates look alike" if len(verdicts) == 2 else f"{len(alike) + 1} of its {len(verdicts)} candidates look alike"
    )
    message = f"{words}: they differ by {alike[0].measured} of 255, expected more than {alike[0].threshold}"
    return CheckVerdict(check, "warn", alike[0].measured, alike[0].threshold, {"message": message}, version)


def _of_anchor(verdict: CheckVerdict, anchor: str) -> CheckVerdict:
    return replace(verdict, evidence={**verdict.evidence, "anchor": anchor})
