"""Mutation over meaning, on the wire: every answer that each API gives, mutated by rule, in each phase of a job.

Knows only what a user would see: exit codes, the emulator's ledger, the file in the tree. Waiting is switched off.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

from qwenbuild.emulator import Served, faults, serve
from qwenbuild.emulator.faults import Hit, Outcome
from qwenbuild.errors import QwenbuildError
from qwenbuild.verbs import Options, Summary, build
from tests.campaign.lab import APIS, Api, Shop, judge
from tests.campaign.mutation import Mutant, mutants
from tests.campaign.part_http import SUBMISSIONS, hurried
from tests.walking import Recorder

DEADLINE_S = 20.0
"""Seconds after which a build of one picture, whose waits are skipped, counts as one that has no end."""
SYNCHRONOUS = ("dashscope sync",)
OPEN = {"ticket", "ready", "intent"}
"""States of an attempt that the next build goes on with: its picture is late, and not given up."""
KIND = "mutated"


@dataclass(frozen=True)
class Case:
    """One mutant of the answer of one phase. `lost`: the answer to the submission is lost before; `times` None: for ever."""

    api: Api
    phase: str
    mutant: Mutant
    times: int | None
    lost: bool = False

    def __str__(self) -> str:
        often = "once" if self.times == 1 else "always"
        return f"{self.api.name}, {self.phase}, {self.mutant.name}, {often}"


@dataclass
class Ends:
    """How often a trial ended how, and what must never be."""

    trials: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def mutated(hit: Hit) -> Outcome:
    """The honest answer, mutated as the mutant's name says: status and headers stay, and links lead where they did."""
    same = (mutant for mutant in _mutants_of(hit.options["of"], hit.reply.body) if mutant.name == hit.options["mutant"])
    return replace(hit.reply, body=next(same, hit.options["body"]).body)


# ---------------------------------------------------------------- the cases


def cases(api: Api, emulator: Served, folder: Path) -> list[Case]:
    """Every mutant of every answer of one API, as the emulator gives it today."""
    made: list[Case] = []
    for phase, lost in _phases(api):
        body = _honest_answer(api, emulator, folder / f"{api.name} {phase}".replace(" ", "-"), phase, lost)
        for mutant in _mutants_of(phase, body):
            made += [Case(api, phase, mutant, times, lost) for times in (1, None)]
    return made


def _phases(api: Api) -> Iterator[tuple[str, bool]]:
    yield "accepted", False
    yield "download", False
    if api.name not in SYNCHRONOUS:
        yield "poll", False
    if api.name == "dashscope async":
        yield "list", True


def _mutants_of(phase: str, body: bytes) -> Iterable[Mutant]:
    return _download_mutants(body) if phase == "download" else mutants(body)


def _download_mutants(picture: bytes) -> Iterator[Mutant]:
    """A picture is no JSON: what may come in its place, and the picture cut, doubled and flipped."""
    yield from (mutant for mutant in mutants(picture) if not mutant.name.startswith("the wrapped error"))
    yield Mutant("another vendor's picture header", b"\xff\xd8\xff\xe0" + picture[4:])
    for share in (8, 16, 64):
        yield Mutant(f"cut after 1/{share}", picture[: len(picture) // share])


def _honest_answer(api: Api, emulator: Served, folder: Path, phase: str, lost: bool) -> bytes:
    """The body of the phase's answer in an honest build; for polls and lists, of the last one."""
    seen: list[bytes] = []

    def noted(hit: Hit) -> Outcome:
        seen.append(hit.reply.body)
        return hit.reply

    _prepare(emulator, lost)
    with mock.patch.dict(faults.KINDS, {KIND: noted}):
        emulator.fault(phase, KIND, times=None)
        _build(_shop(api, emulator, folder))
    assert seen, f"{api.name} gave no answer in the phase {phase}"
    return seen[-1]


# ---------------------------------------------------------------- one trial


def _shop(api: Api, emulator: Served, folder: Path) -> Shop:
    shop = Shop(folder / "shop", folder / "cache", api, emulator)  # type: ignore[arg-type]
    shop.stock({"one": "a paper lamp"}, timeout=30)
    return shop


def _prepare(emulator: Served, lost: bool) -> None:
    emulator.reset()
    emulator.configure(enforce=False, latency=0.02)
    if lost:
        emulator.fault("accepted", "reset", times=1)


def _build(shop: Shop, **options: bool) -> Summary | QwenbuildError | Exception:
    with mock.patch.dict(os.environ, shop.environ, clear=True):
        try:
            return build(Options(shop.folder, yes=True, **options), Recorder(), None)
        except Exception as error:
            return error


def _order(case: Case) -> dict[str, object]:
    return {"of": case.phase, "mutant": case.mutant.name, "body": case.mutant}


def trial(case: Case, emulator: Served, folder: Path) -> tuple[str, list[str]]:
    """How it ended, and what is wrong, in words."""
    shop = _shop(case.api, emulator, folder)
    _prepare(emulator, case.lost)
    emulator.fault(case.phase, KIND, times=case.times, **_order(case))
    started = time.monotonic()
    first = _build(shop)
    took = time.monotonic() - started
    hits = sum(fault["hits"] for fault in emulator.state()["faults"] if fault["kind"] == KIND)
    posts = sum(request["phase"] == "submit" for request in emulator.requests())
    emulator.clear_faults()
    again = [_build(shop), _build(shop, retry_failed=True)]
    problems = [] if took < DEADLINE_S else [f"took {took:.0f} s"]
    problems += [f"raised {type(end).__name__}: {end}" for end in (first, *again) if _is_a_fault(end)]
    if posts > SUBMISSIONS:
        problems.append(f"{posts} submissions")
    problems += _judged(case, shop, emulator) if not problems else []
    return _end(first, again[0], shop, hits), [f"{case}: {problem}" for problem in problems]


def _is_a_fault(end: object) -> bool:
    return isinstance(end, Exception) and not isinstance(end, QwenbuildError)


def _judged(case: Case, shop: Shop, emulator: Served) -> list[str]:
    """A picture that was charged is bought once, and after honest builds it is in the tree or a person is asked."""
    ledger = emulator.ledger()
    paid = [job for job in ledger if job["fate"] == "done"]
    problems = [f"bought {len(paid)} times"] if len(paid) > 1 else []
    verdict = judge(shop, ledger, approved=9)
    if verdict.bad and not shop.states().keys() & OPEN:
        problems.append(verdict.bad)
    if verdict.doubts and case.phase in ("poll", "download"):
        problems.append("in doubt, although the journal holds its ticket")
    return problems


def _end(first: object, second: object, shop: Shop, hits: int) -> str:
    if not hits:
        return "never asked"
    if isinstance(first, Summary) and first.exit_code == 0:
        return "done at once"
    if isinstance(second, Summary) and second.exit_code == 0:
        return "done by the next build"
    return "in doubt" if shop.in_doubt() else "done by --retry-failed"


def run(apis: Iterable[Api] = APIS, first: int = 0, step: int = 1) -> Ends:
    """Try the mutants of these APIs; `first` and `step` choose a part of each API's."""
    ends = Ends()
    with serve(latency=0.02, enforce=False) as emulator, hurried(), tempfile.TemporaryDirectory() as folder:
        for api in apis:
            for case in cases(api, emulator, Path(folder))[first::step]:
                ends.trials += 1
                with mock.patch.dict(faults.KINDS, {KIND: mutated}):
                    end, problems = trial(case, emulator, Path(folder) / str(ends.trials))
                ends.ends[end] += 1
                ends.faults += problems
    return ends


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when a mutant led to a second purchase, a lost picture, or no end."""
    ends = run(step=1 if whole else 20)
    assert not ends.faults, f"{len(ends.faults)} of {ends.trials}\n" + "\n".join(ends.faults)
    spread = ", ".join(f"{count} {end}" for end, count in sorted(ends.ends.items()))
    return [("answers mutated", f"{ends.trials} mutants: 0 bought twice, 0 given up, 0 tracebacks ({spread})")]
