"""Plans as pure values, and a walk that does nothing but remember what it was asked; knows no disk and no provider."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import qwenbuild
from qwenbuild.catalog import Catalog
from qwenbuild.cli.ending import run
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


@dataclass(frozen=True)
class FakeOptions:
    """The same names as the walk's Options."""

    folder: Path
    file: str | None = None
    select: tuple[str, ...] = ()
    jobs: int | None = None
    yes: bool = False
    max_cost: Mapping[str, Decimal] | None = None
    limit: int | None = None
    locked: bool = False
    offline: bool = False
    force: bool = False
    all: bool = False
    overwrite: bool = False
    fail_fast: bool = False
    retry_failed: bool = False
    prune: bool = False
    strict: bool = False
    provider: str | None = None
    output: str | None = None
    push: bool = False


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
    def options(self) -> FakeOptions:
        options: FakeOptions = self.asked[-1][1]
        return options


def make_summary(exit_code: int = 0, **counts: int) -> SimpleNamespace:
    spent = {"usd": Decimal("0.03") * counts.get("generated", 0)} if counts.get("generated") else {}
    return SimpleNamespace(exit_code=exit_code, counts=counts, spent=spent, problems=(), seconds=1.5, failures=())


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Walk:
    """The walk replaced by one that does nothing but remember."""
    state = Walk()
    fake = ModuleType("qwenbuild.build")
    for name, value in _functions(state).items():
        setattr(fake, name, value)
    monkeypatch.setitem(sys.modules, "qwenbuild.build", fake)
    monkeypatch.setattr(qwenbuild, "build", fake, raising=False)
    return state


def _functions(state: Walk) -> dict[str, Any]:
    def asked(*what: Any) -> None:
        state.asked.append(what)
        if state.raises is not None:
            raise state.raises

    def planned(options: FakeOptions) -> SimpleNamespace:
        asked("plan", options)
        return SimpleNamespace(
            plan=state.plan, notices=state.notices, gate=lambda options: state.stop, needs_consent=lambda options: False
        )

    def load(options: FakeOptions) -> SimpleNamespace:
        asked("load", options)
        return SimpleNamespace(
            manifest=SimpleNamespace(file="qwenbuild.yaml"), entries=state.entries, notices=state.notices, keyed=()
        )

    def build(options: FakeOptions, reporter: Any, ask: Callable[[Any], bool] | None) -> Any:
        asked("build", options)
        if ask is not None:
            state.consent = ask(SimpleNamespace(plan=state.plan, notices=state.notices))
        for event in state.events:
            reporter.event(event)
        return state.summary or make_summary()

    def explain(options: FakeOptions, entry_id: str) -> Any:
        asked("explain", options, entry_id)
        return state.explanation

    def clean(options: FakeOptions, all: bool, dry: bool) -> Any:
        asked("clean", options, all, dry)
        return state.cleaned

    def doubts(options: FakeOptions) -> Any:
        asked("doubts", options)
        return state.doubts

    def resolve_doubt(options: FakeOptions, verb: str, ids: tuple[str, ...], task: str | None) -> None:
        asked("resolve_doubt", options, verb, ids, task)

    def spend(options: FakeOptions) -> Any:
        asked("spend", options)
        return state.ledger

    def check_provider(options: FakeOptions, name: str | None) -> Any:
        asked("check_provider", options, name)
        return state.account

    def models(options: FakeOptions) -> Any:
        asked("models", options)
        return tuple(Catalog.load().rows())

    return {
        "Options": FakeOptions,
        "models": models,
        "check_provider": check_provider,
        "plan": planned,
        "shown": planned,
        "status": planned,
        "load": load,
        "build": build,
        "explain": explain,
        "clean": clean,
        "doubts": doubts,
        "resolve_doubt": resolve_doubt,
        "spend": spend,
    }


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


__all__ = ["KEY", "Ended", "FakeOptions", "Walk", "make_plan", "make_step", "make_summary"]
