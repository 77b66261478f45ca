"""Plans as pure values, and a walk that does nothing but remember what it was asked; knows no disk and no provider."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MethodType, SimpleNamespace
from typing import Any

import pytest

from qwenbuild import verbs
from qwenbuild.catalog import Catalog
from qwenbuild.cli.exits import run
from qwenbuild.model import (
    Action,
    Candidate,
    CandidatePlan,
    Entry,
    Keyed,
    Orphan,
    OutputPlan,
    OutputSpec,
    Plan,
    Price,
    Reason,
    Step,
    Verdict,
)
from qwenbuild.project.options import Options

KEY = "ab" * 32
PRICE = {"usd": Decimal("0.03")}


def make_step(
    identity: str,
    verdict: str = "fresh",
    *reasons: Reason,
    price: Price | None = PRICE,
    held: bool = False,
    prompt: str = "a small bottle",
    file: str = "",
) -> Step:
    action = Action("dashscope", "qwen-image-plus", prompt, "1140*1472", 11)
    candidate = Candidate(11, action, KEY)
    entry = Entry(identity, identity.split("/")[0], "dashscope", None, prompt, {}, 11, ())
    wanted = Verdict(verdict)
    paid: Price | None = price if wanted is Verdict.GENERATE else {}
    waits = Verdict.RESTORE if wanted in (Verdict.GENERATE, Verdict.DOUBT, Verdict.REFUSED) else wanted
    output = OutputPlan(OutputSpec(file or f"{identity}.png"), waits, "", "")
    planned = CandidatePlan(candidate, wanted, "", paid)
    return Step(Keyed(entry, (candidate,), paid), wanted, tuple(reasons), (planned,), (output,), held=held)


def make_plan(*steps: Step, orphans: Sequence[Orphan] = (), seconds: float = 15.0) -> Plan:
    counts = {verdict.value: sum(step.verdict is verdict for step in steps) for verdict in Verdict}
    counts |= {"held": sum(step.held for step in steps), "orphan": len(orphans)}
    prices = [candidate.price for step in steps for candidate in step.candidates]
    cost = sum((price["usd"] for price in prices if price), Decimal(0))
    unknown = sum(price is None for price in prices)
    return Plan(
        tuple(steps), tuple(orphans), cost={"usd": cost} if cost else {}, unknown_price=unknown, seconds=seconds, counts=counts
    )


@dataclass
class Walk:
    """What the fake walk answers with, and what it was asked."""

    plan: Plan = field(default_factory=make_plan)
    notices: tuple[Any, ...] = ()
    stop: Exception | None = None
    raises: BaseException | None = None
    summary: Any = None
    events: tuple[Any, ...] = ()
    entries: tuple[Any, ...] = ()
    explanation: Any = None
    ledger: Any = None
    doubts: list[dict[str, Any]] = field(default_factory=list)
    cleaned: Any = None
    account: Any = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    consent: bool | None = None

    @property
    def options(self) -> Options:
        """What the last call was asked with."""
        options: Options = self.asked[-1][1]
        return options

    def hears(self, *what: Any) -> None:
        """Remember a call, and fail where it should."""
        self.asked.append(what)
        if self.raises is not None:
            raise self.raises


def make_summary(exit_code: int = 0, **counts: int) -> SimpleNamespace:
    spent = {"usd": Decimal("0.03") * counts.get("generated", 0)} if counts.get("generated") else {}
    return SimpleNamespace(exit_code=exit_code, counts=counts, spent=spent, problems=(), seconds=1.5, failures=())


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Walk:
    """The walk replaced by one that does nothing but remember."""
    state = Walk()
    fake = FakeVerbs(state)
    for name, verb in vars(FakeVerbs).items():
        if not name.startswith("_"):
            monkeypatch.setattr(verbs, name, MethodType(verb, fake), raising=False)
    return state


class FakeVerbs:
    """In the place of `qwenbuild.verbs`: its functions remember what they were asked, and answer what the walk says."""

    def __init__(self, state: Walk) -> None:
        self._state = state

    def plan(self, options: Options) -> SimpleNamespace:
        self._state.hears("plan", options)
        return SimpleNamespace(
            plan=self._state.plan,
            notices=self._state.notices,
            gate=lambda options: self._state.stop,
            needs_consent=lambda options: False,
        )

    shown = status = plan

    def load(self, options: Options) -> SimpleNamespace:
        self._state.hears("load", options)
        source = SimpleNamespace(file="qwenbuild.yaml")
        return SimpleNamespace(manifest=source, entries=self._state.entries, notices=self._state.notices, keyed=())

    def build(self, options: Options, reporter: Any, ask: Callable[[Any], bool] | None) -> Any:
        self._state.hears("build", options)
        if ask is not None:
            self._state.consent = ask(SimpleNamespace(plan=self._state.plan, notices=self._state.notices))
        for event in self._state.events:
            reporter.event(event)
        return self._state.summary or make_summary()

    def explain(self, options: Options, entry_id: str) -> Any:
        self._state.hears("explain", options, entry_id)
        return self._state.explanation

    def clean(self, options: Options, all: bool, dry: bool) -> Any:
        self._state.hears("clean", options, all, dry)
        return self._state.cleaned

    def doubts(self, options: Options) -> Any:
        self._state.hears("doubts", options)
        return self._state.doubts

    def resolve_doubt(self, options: Options, verb: str, ids: tuple[str, ...], task: str | None) -> None:
        self._state.hears("resolve_doubt", options, verb, ids, task)

    def spend(self, options: Options) -> Any:
        self._state.hears("spend", options)
        return self._state.ledger

    def check_provider(self, options: Options, name: str | None) -> Any:
        self._state.hears("check_provider", options, name)
        return self._state.account

    def models(self, options: Options) -> Any:
        self._state.hears("models", options)
        return tuple(Catalog.load().rows())


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command line in this process."""

    def called(*args: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run(args)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return called


__all__ = ["KEY", "Ended", "Walk", "make_plan", "make_step", "make_summary"]
