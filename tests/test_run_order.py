"""In which order a plan is carried out, and what of it is bought: steps made by hand, a scripted provider, a real journal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from qwenbuild.errors import (
    BadPicture,
    CacheError,
    CredentialsError,
    FailedAtProvider,
    Lost,
    NotFetched,
    Refused,
    Uncertain,
    Waiting,
)
from qwenbuild.key import action_key
from qwenbuild.model import (
    Action,
    ActionResult,
    Candidate,
    CandidatePlan,
    Entry,
    InputRef,
    Keyed,
    Limits,
    LockEntry,
    OutcomeKind,
    OutputPlan,
    OutputSpec,
    Plan,
    Reason,
    Step,
    Ticket,
    Verdict,
)
from qwenbuild.pace.clock import FakeTime
from qwenbuild.pace.lanes import FileLanes
from qwenbuild.run.schedule import run
from qwenbuild.run.submit import Purchase
from qwenbuild.run.world import Published, RunResult
from tests.shop import BASE, PRICE, Shop, changed, lamp

V = Verdict
DONE, FAILED, SKIPPED = OutcomeKind.DONE, OutcomeKind.FAILED, OutcomeKind.SKIPPED


class Yard(Shop):
    """A shop whose world is that of a whole run. `published` is what got files, in order; `ends` how publishing ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.provider.pace = Limits(0.0, 1, 300)
        waits = FakeTime().waits()
        self.published: list[tuple[str, dict[str, str]]] = []
        self.settled: list[tuple[str, dict[str, str]]] = []
        self.ends: dict[str, Any] = {}
        self.closed = 0
        self.own_lanes = FileLanes(folder / "lanes", waits)
        self.world = replace(self.progress.world, waits=waits)

    @property
    def lanes(self) -> FileLanes:
        return self.own_lanes

    async def close(self) -> None:
        self.closed += 1

    def publish(self, step: Step, results: Mapping[str, ActionResult]) -> Published:
        self.published.append((step.id, {key: result.digest for key, result in results.items()}))
        end = self.ends.get(step.id, Published(record(step), (f"{step.id}.png",)))
        if isinstance(end, BaseException):
            raise end
        return end  # type: ignore[no-any-return]

    def replan(self, step: Step, digests: Mapping[str, str]) -> Step:
        """As the plan does it: the pictures of inputs are part of the key."""
        self.settled.append((step.id, dict(digests)))
        made = []
        for plan in step.candidates:
            action = replace(plan.candidate.action, inputs=tuple(digests.values()))
            made.append(replace(plan, candidate=Candidate(plan.candidate.seed, action, action_key(action))))
        return replace(step, candidates=tuple(made))

    def carry_out(self, *steps: Step, **more: Any) -> RunResult:
        return run(Plan(steps), changed(self.world, **more))

    @property
    def sent(self) -> list[str]:
        return self.provider.asked("submit")


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.end()


def record(step: Step) -> LockEntry:
    return LockEntry(step.candidates[step.used].candidate.key, "d", {})


def step(
    id: str,
    *verdicts: Verdict,
    inputs: tuple[str, ...] = (),
    used: int = 0,
    price: Any = PRICE,
    digest: str = "",
    reasons: tuple[Reason, ...] = (),
    prompt: str = "",
    keyless: bool = False,
    outputs: tuple[OutputPlan, ...] = (),
    asset: str = "",
    verdict: Verdict | None = None,
) -> Step:
    """An entry whose candidates have these verdicts; it has the first one, where no other is named."""
    verdicts = verdicts or (V.GENERATE,)
    plans = []
    for seed, one in enumerate(verdicts):
        action = Action("dashscope", "qwen-image-plus", prompt=prompt or id, size="64*64", seed=seed)
        plans.append(CandidatePlan(Candidate(seed, action, "" if keyless else action_key(action)), one, digest, price))
    entry = Entry(id, asset or id, "studio", None, id, {}, 0, (), inputs=tuple(InputRef(entry=name) for name in inputs))
    keyed = Keyed(entry, tuple(plan.candidate for plan in plans), price)
    return Step(keyed, verdict or verdicts[0], reasons, tuple(plans), outputs, used)


def ends(result: RunResult) -> dict[str, tuple[str, str, str]]:
    return {id: (outcome.kind.value, outcome.how, outcome.code) for id, outcome in result.outcomes.items()}


# ---------------------------------------------------------------- what is done at all


def test_what_is_wanted_is_bought_stored_and_published_and_counted(yard: Yard) -> None:
    result = yard.carry_out(step("a"), step("b", V.RESTORE, digest="d" * 64), step("c", V.FRESH), step("d", V.MODIFIED))
    assert ends(result) == {"a": ("done", "generated", ""), "b": ("done", "restored", "")}
    (digest,) = [attempt.digest for attempt in yard.attempts]
    published = dict(yard.published)
    assert list(published["a"].values()) == [digest]
    assert list(published["b"].values()) == ["d" * 64]
    assert (yard.sent, result.spent, result.bought, result.stops, result.interrupted, result.doubts) == (
        ["a"],
        PRICE,
        1,
        (),
        False,
        (),
    )
    written = {(event.id, event.data["path"], event.data["how"]) for event in yard.heard.of("written")}
    assert written == {("a", "a.png", "generated"), ("b", "b.png", "restored")}
    assert result.outcomes["a"].published == Published(record(step("a")), ("a.png",))
    assert yard.closed == 1


@pytest.mark.parametrize(
    ("verdict", "reasons", "kind", "code", "message"),
    [
        (V.DOUBT, (), OutcomeKind.DOUBT, "doubt", "doubt"),
        (V.DOUBT, (Reason("doubt", new="reset"),), OutcomeKind.DOUBT, "doubt", "reset"),
        (
            V.REFUSED,
            (Reason("changed", new="x"), Reason("refused", new="not allowed")),
            OutcomeKind.REFUSED,
            "refused",
            "not allowed",
        ),
        (V.REFUSED, (Reason("lost"),), OutcomeKind.REFUSED, "refused", "lost"),
        (V.REFUSED, (Reason("pointer", new="a pointer"),), OutcomeKind.REFUSED, "refused", "a pointer"),
        (V.FAILED, (Reason("failed", new="too dark"),), FAILED, "expect", "the picture is not what is expected: too dark"),
    ],
)
def test_what_is_known_to_have_no_picture_asks_nobody(
    yard: Yard, verdict: Verdict, reasons: tuple[Reason, ...], kind: OutcomeKind, code: str, message: str
) -> None:
    outcome = yard.carry_out(step("a", verdict, reasons=reasons)).outcomes["a"]
    assert (outcome.kind, outcome.code, outcome.message) == (kind, code, message)
    assert (yard.provider.happened, yard.published) == ([], [])


def test_a_file_that_a_person_changed_is_left_alone(yard: Yard) -> None:
    outcome = yard.carry_out(step("a", V.MODIFIED, verdict=V.RESTORE)).outcomes["a"]
    assert (outcome.kind, outcome.code) == (SKIPPED, "modified")
    assert "--overwrite" in outcome.message


def test_files_are_derived_from_pictures_at_hand(yard: Yard) -> None:
    file = OutputPlan(OutputSpec("a.webp"), V.DERIVE, "", "r")
    result = yard.carry_out(
        step("a", V.DERIVE, digest="d" * 64, outputs=(file,)),
        step("b", V.GENERATE, outputs=(file,)),
        step("c", V.DERIVE),
        step("e", V.RESTORE, V.GENERATE, digest="d" * 64),
    )
    assert ends(result) == {
        "a": ("done", "derived", ""),
        "b": ("done", "generated", ""),
        "c": ("done", "restored", ""),
        "e": ("done", "generated", ""),
    }
    assert dict(yard.published)["c"] == {}


def test_a_hundred_and_fifty_pictures_at_hand_all_get_their_files(yard: Yard) -> None:
    result = yard.carry_out(*(step(f"n{n}", V.RESTORE, digest="d" * 64) for n in range(150)))
    assert len(yard.published) == len(result.outcomes) == 150


def test_the_collector_is_as_it_was_after_a_run(yard: Yard) -> None:
    before = gc.get_threshold()
    seen: list[Any] = []
    yard.provider.submits = [lambda: seen.append((gc.get_threshold(), gc.get_freeze_count() > 0))]
    yard.carry_out(step("a"))
    assert seen[0][0] != before
    assert seen[0][1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


# ---------------------------------------------------------------- what is not bought


def test_one_picture_that_two_entries_want_is_bought_once(yard: Yard) -> None:
    result = yard.carry_out(step("a", prompt="lamp"), step("b", prompt="lamp"))
    assert (yard.sent, result.bought) == (["lamp"], 1)
    assert {id for id, _ in yard.published} == {"a", "b"}


def test_offline_nothing_is_asked_and_nothing_bought(yard: Yard) -> None:
    dead = yard.left_by_a_dead_build(lamp())
    yard.cache.journal.ticket(dead.id, Ticket("studio", BASE, "theirs"))
    result = yard.carry_out(step("a"), step("b", V.RESTORE, digest="d" * 64), offline=True)
    assert ends(result) == {"a": ("skipped", "", "offline"), "b": ("done", "restored", "")}
    assert (yard.provider.happened, yard.states) == ([], ["ticket"])


def test_a_limit_leaves_the_rest_for_a_later_build_and_what_builds_on_it_too(yard: Yard) -> None:
    a, b, c = step("a"), step("b"), step("c", inputs=("b",), keyless=True)
    result = yard.carry_out(a, b, c, allowed=frozenset({a.candidates[0].candidate.key}))
    assert ends(result) == {"a": ("done", "generated", ""), "b": ("skipped", "", "limit"), "c": ("skipped", "", "limit")}
    assert result.outcomes["c"].message == "its input b has no picture: left for a later build by --limit"
    assert yard.sent == ["a"]


def test_a_picture_may_be_allowed_by_its_name_before_its_inputs_were_known(yard: Yard) -> None:
    a, b = step("a"), step("b", inputs=("a",), keyless=True)
    result = yard.carry_out(a, b, allowed=frozenset({a.candidates[0].candidate.key, "entry:b:0"}))
    assert ends(result)["b"] == ("done", "generated", "")
    assert yard.sent == ["a", "b"]


def test_what_was_paid_for_is_resumed_whatever_the_limit(yard: Yard) -> None:
    assert ends(yard.carry_out(step("a", V.RESUME), allowed=frozenset()))["a"] == ("done", "generated", "")


def test_a_missing_key_stops_the_whole_run_before_anything_is_bought(yard: Yard) -> None:
    yard.get = mock.Mock(side_effect=CredentialsError("no key is set"))  # type: ignore[method-assign]
    result = yard.carry_out(step("a"), step("b"))
    assert set(ends(result).values()) == {("skipped", "", "credentials")}
    assert result.stops == (("credentials", "no key is set"),)


@pytest.mark.parametrize("error", [CacheError("cannot be read"), OSError("cannot be read")])
def test_a_cache_that_cannot_tell_buys_nothing_and_stops_no_other(yard: Yard, error: Exception) -> None:
    yard.references = mock.Mock(side_effect=error)  # type: ignore[method-assign]
    pictured = step("a")
    plan = pictured.candidates[0]
    action = replace(plan.candidate.action, inputs=("d" * 64,))
    pictured = replace(pictured, candidates=(replace(plan, candidate=Candidate(0, action, action_key(action))),))
    result = yard.carry_out(pictured, step("b"))
    assert ends(result) == {"a": ("failed", "", "cannot-tell"), "b": ("done", "generated", "")}
    assert [(event.id, event.data["code"]) for event in yard.heard.of("failed")] == [("a", "cache")]


def test_an_attempt_that_a_person_gave_up_is_named_by_the_one_that_retries_it(yard: Yard) -> None:
    wanted = step("a")
    candidate = wanted.candidates[0].candidate
    old = yard.left_by_a_dead_build(Purchase("a", "studio", candidate, PRICE))
    yard.cache.journal.doubt(old.id, "lost", "reset")
    yard.cache.journal.drop(old.id)
    yard.carry_out(wanted, given_up=frozenset({candidate.key}))
    assert [attempt.names_attempt for attempt in yard.attempts if attempt.id != old.id] == [old.id]


# ---------------------------------------------------------------- first what was paid for


def test_tickets_then_strays_then_open_requests_come_before_anything_is_bought(yard: Yard) -> None:
    yard.provider.recovery = "listing"
    yard.provider.finds = [(Ticket("studio", BASE, "found"),)]
    yard.left_by_a_dead_build(lamp(1))
    ticket, stray = yard.left_by_a_dead_build(lamp(2)), yard.left_by_a_dead_build(lamp(3))
    yard.cache.journal.ticket(ticket.id, Ticket("studio", BASE, "ticket"))
    stray = yard.cache.journal.ticket(stray.id, Ticket("studio", BASE, "stray"))
    yard.strays = lambda: [stray]  # type: ignore[method-assign]
    result = yard.carry_out(step("a"))
    assert sorted(yard.provider.happened[:2]) == [("collect", "stray"), ("collect", "ticket")]
    assert yard.provider.happened[2:] == [
        ("clock", ""),
        ("find", ""),
        ("collect", "found"),
        ("submit", "a"),
        ("collect", "task1"),
    ]
    assert (set(yard.states), result.bought, result.spent) == ({"stored"}, 1, PRICE)


def test_a_ticket_that_is_still_worked_on_is_asked_for_once_in_a_run(yard: Yard) -> None:
    ticket = yard.left_by_a_dead_build(lamp())
    yard.cache.journal.ticket(ticket.id, Ticket("studio", BASE, "theirs"))
    yard.provider.collects = [Waiting("it still draws")]
    yard.carry_out()
    assert (yard.provider.happened, yard.states) == ([("collect", "theirs")], ["ticket"])


def test_an_entry_takes_what_came_of_its_earlier_request(yard: Yard) -> None:
    wanted = step("a", V.RESUME)
    dead = yard.left_by_a_dead_build(replace(lamp(), candidate=wanted.candidates[0].candidate))
    yard.cache.journal.ticket(dead.id, Ticket("studio", BASE, "theirs"))
    result = yard.carry_out(wanted)
    assert ends(result) == {"a": ("done", "resumed", "")}
    assert yard.provider.happened == [("collect", "theirs")]
    assert result.bought == 0


def test_files_of_a_recovered_picture_are_told_as_resumed(yard: Yard) -> None:
    yard.provider.recovery = "resend"
    wanted = step("a", V.RECOVER)
    yard.left_by_a_dead_build(replace(lamp(), candidate=wanted.candidates[0].candidate))
    assert ends(yard.carry_out(wanted)) == {"a": ("done", "recovered", "")}
    assert [event.data["how"] for event in yard.heard.of("written")] == ["resumed"]


def test_an_earlier_request_that_comes_to_be_in_doubt_is_in_the_result(yard: Yard) -> None:
    wanted = step("a", V.RECOVER)
    yard.left_by_a_dead_build(replace(lamp(), candidate=wanted.candidates[0].candidate))
    result = yard.carry_out(wanted)
    assert ends(result) == {"a": ("doubt", "", "no-answer")}
    assert [entry for entry, _ in result.doubts] == ["n0"]
    assert yard.provider.happened == []


def test_what_another_living_build_began_is_looked_up_before_it_is_bought(yard: Yard) -> None:
    wanted = step("a")
    dead = yard.left_by_a_dead_build(replace(lamp(), candidate=wanted.candidates[0].candidate))
    yard.cache.journal.doubt(dead.id, "lost", "reset")
    assert ends(yard.carry_out(wanted)) == {"a": ("doubt", "", "lost")}
    assert (yard.sent, yard.purse) == ([], [])


# ---------------------------------------------------------------- inputs


def test_an_input_is_bought_first_and_its_picture_is_part_of_what_builds_on_it(yard: Yard) -> None:
    result = yard.carry_out(step("c", inputs=("b",), keyless=True), step("b", inputs=("a",), keyless=True), step("a"))
    assert yard.sent == ["a", "b", "c"]
    assert [id for id, _ in yard.settled] == ["b", "c"]
    digests = {id: next(iter(results.values())) for id, results in yard.published}
    assert dict(yard.settled) == {"b": {"a": digests["a"]}, "c": {"b": digests["b"]}}
    assert set(ends(result).values()) == {("done", "generated", "")}


@pytest.mark.parametrize("verdict", [V.FRESH, V.MODIFIED, V.RESTORE])
def test_an_input_at_hand_is_not_bought(yard: Yard, verdict: Verdict) -> None:
    yard.carry_out(step("a", verdict, digest="e" * 64), step("b", inputs=("a",), keyless=True))
    assert (yard.sent, yard.settled) == (["b"], [("b", {"a": "e" * 64})])


def test_what_has_its_key_already_is_not_planned_again(yard: Yard) -> None:
    yard.carry_out(step("a", V.RESTORE, digest="e" * 64), step("b", inputs=("a",)))
    assert (yard.sent, yard.settled) == (["b"], [])


def test_nothing_is_bought_on_an_input_that_has_no_picture(yard: Yard) -> None:
    yard.provider.submits = [Refused("not allowed")]
    result = yard.carry_out(step("a"), step("b", inputs=("a",), keyless=True), step("c", inputs=("b",), keyless=True))
    assert ends(result) == {"a": ("refused", "", "refused"), "b": ("skipped", "", "input"), "c": ("skipped", "", "input")}
    assert result.outcomes["b"].message == "its input a has no picture: not allowed"
    assert result.outcomes["c"].message == "its input b has no picture"
    assert (yard.sent, yard.published) == (["a"], [])
    assert [(event.id, event.data["code"]) for event in yard.heard.of("failed")][-2:] == [("b", "input"), ("c", "input")]


def test_nothing_is_bought_on_a_picture_that_is_not_what_is_expected(yard: Yard) -> None:
    yard.ends["a"] = Published(None, unfit=(("", "too dark"), ("a.png", "too small")))
    result = yard.carry_out(step("a"), step("b", inputs=("a",), keyless=True))
    assert ends(result) == {"a": ("failed", "generated", "expect"), "b": ("skipped", "", "input")}
    assert result.outcomes["a"].message == "the picture is not what is expected: too dark; a.png: too small"
    assert result.outcomes["a"].published == yard.ends["a"]
    assert [event.data["code"] for event in yard.heard.of("failed")] == ["expect", "expect", "input"]
    assert yard.sent == ["a"]


def test_nothing_is_bought_on_a_picture_at_hand_before_it_was_looked_at(yard: Yard) -> None:
    yard.ends["a"] = Published(None, unfit=(("", "too dark"),))
    result = yard.carry_out(step("a", V.RESTORE, digest="e" * 64), step("b", inputs=("a",), keyless=True))
    assert ends(result)["b"] == ("skipped", "", "input")
    assert yard.sent == []


def test_files_are_not_made_on_an_input_that_has_no_picture(yard: Yard) -> None:
    yard.provider.submits = [Refused("not allowed")]
    result = yard.carry_out(step("b", V.RESTORE, digest="e" * 64, inputs=("a",)), step("a"))
    assert (ends(result)["b"], yard.published) == (("skipped", "", "input"), [])


def test_a_settled_entry_that_turns_out_fresh_is_not_published_and_serves_as_an_input(yard: Yard) -> None:
    planned = yard.replan

    def settle(one: Step, digests: Mapping[str, str]) -> Step:
        if one.id != "b":
            return planned(one, digests)
        fresh = replace(one.candidates[0], verdict=V.FRESH, digest="f" * 64)
        return replace(one, verdict=V.FRESH, candidates=(fresh,))

    yard.replan = settle  # type: ignore[method-assign]
    result = yard.carry_out(step("a"), step("b", inputs=("a",), keyless=True), step("c", inputs=("b",), keyless=True))
    assert ends(result)["b"] == ("done", "fresh", "")
    assert (yard.sent, yard.settled) == (["a", "c"], [("c", {"b": "f" * 64})])
    assert [id for id, _ in yard.published] == ["a", "c"]


def test_an_input_whose_files_could_not_all_be_written_serves_all_the_same(yard: Yard) -> None:
    yard.ends["a"] = Published(record(step("a")), ("a.png",), failures=(("a.webp", "read-only"), ("a.jpg", "full")))
    result = yard.carry_out(step("a"), step("b", inputs=("a",), keyless=True))
    assert ends(result) == {"a": ("failed", "generated", "not-written"), "b": ("done", "generated", "")}
    assert result.outcomes["a"].message == "a.webp: read-only; a.jpg: full"
    assert [event.data["message"] for event in yard.heard.of("failed")] == ["a.webp: read-only", "a.jpg: full"]
    assert {event.data["code"] for event in yard.heard.of("failed")} == {"not-written"}


# ---------------------------------------------------------------- candidates


def test_of_several_candidates_the_used_one_is_published_and_the_worst_is_the_end(yard: Yard) -> None:
    yard.provider.submits = [None, Refused("not allowed")]
    result = yard.carry_out(step("a", V.GENERATE, V.GENERATE))
    outcome = result.outcomes["a"]
    assert (outcome.kind, outcome.how, outcome.code, outcome.message) == (
        OutcomeKind.REFUSED,
        "generated",
        "refused",
        "not allowed",
    )
    assert outcome.published is not None
    assert (len(yard.sent), len(yard.published), len(yard.published[0][1])) == (2, 1, 1)


def test_without_the_used_candidates_picture_nothing_is_published(yard: Yard) -> None:
    yard.provider.submits = [None, Refused("not allowed")]
    result = yard.carry_out(step("a", V.GENERATE, V.GENERATE, used=1))
    assert (result.outcomes["a"].kind, yard.published) == (OutcomeKind.REFUSED, [])


def test_candidates_of_one_entry_are_all_handed_over_with_their_pictures(yard: Yard) -> None:
    wanted = step("a", V.GENERATE, V.GENERATE, used=1)
    yard.carry_out(wanted, step("b", inputs=("a",), keyless=True))
    ((_, results), _) = yard.published
    keys = [plan.candidate.key for plan in wanted.candidates]
    assert set(results) == set(keys)
    assert yard.settled == [("b", {"a": results[keys[1]]})]


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("error", [OSError("read-only"), CacheError("read-only"), ValueError("read-only")])
def test_files_that_cannot_be_written_fail_their_entry_alone(yard: Yard, error: Exception) -> None:
    yard.ends["a"] = error
    result = yard.carry_out(step("a", V.RESTORE, digest="d" * 64), step("b"))
    assert ends(result) == {"a": ("failed", "", "not-written"), "b": ("done", "generated", "")}
    assert result.outcomes["a"].message == "read-only"
    assert [(event.id, event.data["code"]) for event in yard.heard.of("failed")] == [("a", "not-written")]


@pytest.mark.parametrize("failure", ["failed", "refused", "unfit", "in doubt"])
def test_fail_fast_buys_nothing_after_the_first_failure(yard: Yard, failure: str) -> None:
    if failure == "unfit":
        yard.ends["a"] = Published(None, unfit=(("", "too dark"),))
    elif failure == "failed":
        yard.provider.collects = [Waiting("it still draws")]
    else:
        yard.provider.submits = [Refused("no") if failure == "refused" else Uncertain("reset")]
    result = yard.carry_out(step("a"), *(step(f"b{n}") for n in range(30)), fail_fast=True)
    stopped = failure != "in doubt"
    assert [stop[0] for stop in result.stops] == (["fail-fast"] if stopped else [])
    assert ends(result)["b29"] == (("skipped", "", "fail-fast") if stopped else ("done", "generated", ""))


def test_without_fail_fast_a_failure_stops_nothing(yard: Yard) -> None:
    yard.provider.submits = [Refused("no")]
    assert yard.carry_out(step("a"), step("b")).stops == ()
    assert yard.sent == ["a", "b"]


def test_a_fault_of_the_program_lets_what_was_sent_get_its_ticket_and_is_raised(yard: Yard) -> None:
    yard.ends["a"] = RuntimeError("a fault")
    with pytest.raises(RuntimeError, match="a fault"):
        yard.carry_out(step("a"), step("b"), step("c"))
    assert set(yard.states) <= {"stored", "ticket", "failed"}


def test_a_fault_beside_a_request_that_is_on_its_way_waits_for_its_ticket(yard: Yard) -> None:
    """Without it the picture would be paid for, and in doubt."""
    yard.provider.pace = Limits(0.0, 8, 300)
    yard.ends["a"] = RuntimeError("a fault")
    real, sent = yard.provider.submit, asyncio.Event()

    async def submit(order: Any, body: bytes, gate: Any) -> Ticket:
        if order.action.prompt == "b":
            sent.set()
            await asyncio.sleep(0.3)
        else:
            await sent.wait()
        return await real(order, body, gate)

    yard.provider.submit = submit  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a fault"):
        yard.carry_out(step("a"), step("b"))
    assert yard.sent == ["a", "b"]
    assert set(yard.states) <= {"ticket", "stored"}
    assert yard.closed == 1


@pytest.mark.parametrize("many", [10, 150])
def test_a_fault_while_files_are_put_back_is_raised_however_many_there_are(yard: Yard, many: int) -> None:
    """More entries than are carried out at once: the fault's task is over long before the last one begins."""
    yard.ends["e0"] = RuntimeError("a fault")
    with pytest.raises(RuntimeError, match="a fault"):
        yard.carry_out(*(step(f"e{number}", V.RESTORE, digest="d" * 64) for number in range(many)))


def test_of_two_faults_at_once_one_is_raised_and_what_was_bought_is_stored(yard: Yard) -> None:
    yard.provider.pace = Limits(0.0, 8, 300)
    yard.ends = {"a": RuntimeError("a fault"), "b": RuntimeError("another fault")}
    with pytest.raises(RuntimeError, match="fault"):
        yard.carry_out(step("a"), step("b"))
    assert set(yard.states) <= {"stored", "ticket"}


# ---------------------------------------------------------------- pausing


def bad(many: int) -> list[Any]:
    return [BadPicture("it is a GIF", data=b"GIF89a%d" % n) for n in range(many)]


def cats(many: int, **more: Any) -> list[Step]:
    return [step(f"cat{n}", asset="cats", **more) for n in range(many)]


def test_after_failures_in_a_row_nothing_more_of_the_asset_is_bought_and_others_go_on(yard: Yard) -> None:
    yard.provider.collects = bad(2)
    result = yard.carry_out(*cats(30), step("dog"), stop_after={"cats": 2})
    assert len(yard.sent) < 30
    assert "dog" in yard.sent
    assert ends(result)["dog"] == ("done", "generated", "")
    (stop,) = result.stops
    assert stop[0] == "paused"
    assert "cats is paused" in stop[1]
    assert "it is a GIF" in stop[1]
    assert ends(result)["cat29"] == ("skipped", "", "paused")


@pytest.mark.parametrize(
    ("submits", "collects", "counts"),
    [
        ([Uncertain("reset")] * 2, [], True),
        ([], [Lost("gone")] * 2, True),
        ([], [NotFetched("stuck", url="https://x.example/p", stuck=True)] * 2, True),
        ([Refused("no")] * 2, [], False),
        ([], [Refused("no")] * 2, False),
        ([], [FailedAtProvider("broken")] * 6, False),
    ],
)
def test_only_what_was_paid_for_or_may_have_been_pauses_an_asset(
    yard: Yard, submits: list[Any], collects: list[Any], counts: bool
) -> None:
    yard.provider.submits, yard.provider.collects = submits, collects
    result = yard.carry_out(*cats(30), stop_after={"cats": 2})
    assert bool(result.stops) is counts
    assert (len(yard.provider.orders) < 30) is counts


@pytest.mark.parametrize(("price", "paused"), [(PRICE, ["paused"]), ({}, [])])
def test_pictures_that_are_not_what_is_expected_pause_their_asset_unless_they_are_free(
    yard: Yard, price: Any, paused: list[str]
) -> None:
    yard.ends = {f"cat{n}": Published(None, unfit=(("", "too dark"),)) for n in range(30)}
    result = yard.carry_out(*cats(30, price=price), stop_after={"cats": 2})
    assert [stop[0] for stop in result.stops] == paused
    assert (len(yard.sent) < 30) is bool(paused)


def test_of_an_entry_that_is_not_what_is_expected_only_the_used_candidate_counts(yard: Yard) -> None:
    yard.ends["cat"] = Published(None, unfit=(("", "too dark"),))
    result = yard.carry_out(step("cat", V.GENERATE, V.GENERATE, V.GENERATE, asset="cats"), stop_after={"cats": 2})
    assert result.stops == ()


def test_pictures_at_hand_that_are_not_what_is_expected_cost_nothing_and_pause_nothing(yard: Yard) -> None:
    yard.ends = {f"cat{n}": Published(None, unfit=(("", "too dark"),)) for n in range(4)}
    pictures = [step(f"cat{n}", V.RESTORE, digest="d" * 64, asset="cats") for n in range(4)]
    assert yard.carry_out(*pictures, stop_after={"cats": 2}).stops == ()


def test_a_good_picture_between_failures_begins_the_row_anew(yard: Yard) -> None:
    yard.provider.collects = [*bad(1), None, *bad(1), None]
    result = yard.carry_out(*cats(4), stop_after={"cats": 2})
    assert (result.stops, len(yard.sent)) == ((), 4)
