"""How a build is shown, asked about and summed up; the walk itself is a fake that remembers."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from fakewalk import Ended, Walk, make_plan, make_step, make_summary

from qwenbuild.model import Reason
from qwenbuild.ports import Event
from qwenbuild.report.progress import Live, Plain
from qwenbuild.report.tally import Tally
from qwenbuild.report.terminal import Terminal

Call = Callable[..., Ended]
PLAN = Event("plan", data={"summary": {"generate": 2, "restore": 1, "fresh": 5, "cost": {"usd": "0.06"}, "seconds": 15}})
EVENTS = (
    PLAN,
    Event("submitted", "a/x", {"key": "k"}),
    Event("stored", "a/x", {"price": {"usd": "0.03"}}),
    Event("written", "a/x", {"path": "a/x.png"}),
    Event("written", "a/x", {"path": "a/x.webp"}),
    Event("written", "a/z", {"path": "a/z.png"}),
    Event("failed", "a/y", {"code": "DataInspectionFailed", "message": "inappropriate \x1b[2J[/b]"}),
)


class Terminalish(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_finished_entry_is_a_line_on_stderr(call: Call, walk: Walk) -> None:
    walk.events, walk.summary = EVENTS, make_summary(1, generated=1, restored=1, refused=1, fresh=5)
    ended = call("build")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "Plan: 2 to generate, 1 to restore, 5 fresh.",
        "Cost: $0.06, about 15 s at the provider's rate.",
        "[1/3] generated  a/x  $0.03 so far",
        "[2/3] written  a/z",
        "failed  a/y: DataInspectionFailed: inappropriate \\x1b[2J[/b]",
    ]
    assert ended.out == "Incomplete: 1 generated, 1 restored, 5 fresh, 1 refused, spent $0.03, 1.5 s.\n"


def test_q_leaves_failures_and_the_last_line(call: Call, walk: Walk) -> None:
    walk.events, walk.summary = EVENTS, make_summary(1, generated=1, refused=1)
    walk.summary.failures = (("a/y", "DataInspectionFailed", "inappropriate"),)
    ended = call("build", "-q")
    assert ended.err == "a/y: DataInspectionFailed: inappropriate\n"
    assert ended.out.count("\n") == 1


def test_a_failure_that_is_still_in_sight_is_not_said_twice(call: Call, walk: Walk) -> None:
    walk.events, walk.summary = EVENTS, make_summary(1, refused=1)
    walk.summary.failures = (("a/y", "DataInspectionFailed", "inappropriate \x1b[2J[/b]"),)
    assert call("build").err.count("inappropriate") == 1
    walk.events = (*EVENTS, *(Event("written", f"b/{number}", {"path": "p"}) for number in range(30)))
    assert call("build").err.count("inappropriate") == 2


def test_failures_that_share_their_message_are_one_line(call: Call, walk: Walk) -> None:
    walk.summary = make_summary(5, skipped=6)
    walk.summary.failures = tuple((f"a/{number}", "credentials", "the key was refused") for number in range(6))
    assert call("build").err == "a/0, a/1, a/2 and 3 more: credentials: the key was refused\n"


def test_json_events_are_lines_and_the_summary_is_the_last(call: Call, walk: Walk) -> None:
    walk.events = (*EVENTS, Event("message", "", {"text": "for people"}))
    walk.summary = make_summary(1, generated=1, restored=1, refused=1)
    ended = call("build", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["event"] for line in lines] == [*(event.event for event in EVENTS), "summary"]
    assert lines[1] == {"event": "submitted", "id": "a/x", "key": "k"}
    assert lines[-1] == {
        "event": "summary",
        "generated": 1,
        "restored": 1,
        "resumed": 0,
        "derived": 0,
        "fresh": 0,
        "failed": 0,
        "refused": 1,
        "doubt": 0,
        "skipped": 0,
        "modified": 0,
        "spent": {"usd": "0.03"},
    }
    assert ended.err == "for people\n"


def test_a_summary_that_comes_early_is_printed_last_and_once(call: Call, walk: Walk) -> None:
    walk.events = (PLAN, Event("summary", data={"generated": 1}), EVENTS[3])
    said = [json.loads(line) for line in call("build", "--json").out.splitlines()]
    assert [line["event"] for line in said] == ["plan", "written", "summary"]
    assert said[-1]["generated"] == 1


def test_a_build_with_nothing_to_do_says_so_in_one_line(call: Call, walk: Walk) -> None:
    walk.summary = make_summary(0, fresh=230)
    ended = call("build")
    assert (ended.code, ended.out, ended.err) == (0, "Nothing to do: 230 entries are fresh (1.5 s).\n", "")


def test_modified_files_are_said_and_are_no_failure(call: Call, walk: Walk) -> None:
    walk.summary = make_summary(0, fresh=2, modified=1)
    assert "1 modified by hand, left alone" in call("build").out


def test_without_a_terminal_nobody_is_asked(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "generate"))
    call("build", stdin="y\n")
    assert walk.consent is None


@pytest.mark.parametrize(
    ("answer", "consent"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yy\n", False)]
)
def test_the_question_shows_the_plan_and_its_price(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, answer: str, consent: bool
) -> None:
    from qwenbuild.cli.exits import run

    err = Terminalish()
    walk.plan = make_plan(make_step("potions/red", "generate", Reason("new")))
    walk.events = (PLAN,)
    monkeypatch.setattr(sys, "stdin", Terminalish(answer))
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("NO_COLOR", "1")
    run(["build"])
    assert walk.consent is consent
    assert "  generate  potions/red  new" in err.getvalue()
    assert "Pay $0.03? [y/N] " in err.getvalue()


def test_under_json_nobody_is_asked(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwenbuild.cli.exits import run

    monkeypatch.setattr(sys, "stdin", Terminalish("y\n"))
    monkeypatch.setattr(sys, "stderr", Terminalish())
    run(["build", "--json"])
    assert walk.consent is None


def test_the_plan_is_not_said_twice_after_a_question() -> None:
    out = io.StringIO()
    plain = Plain(out, Terminal(), asks=True)
    plain.event(PLAN)
    assert out.getvalue() == ""
    plain.plan_shown()
    plain.event(EVENTS[1])
    assert out.getvalue() == ""


def test_where_nobody_was_asked_the_plan_comes_with_the_first_work() -> None:
    out = io.StringIO()
    plain = Plain(out, Terminal(), asks=True)
    for event in EVENTS[:2]:
        plain.event(event)
    assert out.getvalue().startswith("Plan: 2 to generate")


def test_the_live_line_shows_count_rate_time_money_and_flight() -> None:
    out = Terminalish()
    now = iter([0.0, *([10.0] * 20)])
    live = Live(out, Terminal(paint=False), clock=lambda: next(now))
    for event in EVENTS[:4]:
        live.event(event)
    live.event(Event("submitted", "a/w", {}))
    live._progress.refresh()
    live.event(EVENTS[6])
    live._progress.refresh()
    live.close()
    said = out.getvalue()
    assert "1/3" in said
    assert "0.1/s · 10 s left · $0.03 · 1 in flight" in said
    assert "1 failed" in said
    assert "inappropriate \\x1b[2J[/b]" in said


def test_the_live_line_does_not_start_before_the_question_is_answered() -> None:
    out = Terminalish()
    live = Live(out, Terminal(paint=False), asks=True)
    live.event(PLAN)
    live.event(Event("message", "", {"text": "hello"}))
    assert "0/3" not in out.getvalue()
    live.plan_shown()
    live._progress.refresh()
    live.close()
    assert "0/3" in out.getvalue()


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_goes_away_never_raises_into_the_run() -> None:
    plain = Plain(Broken(), Terminal())
    for event in EVENTS:
        plain.event(event)


def test_a_stream_of_another_encoding_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    plain = Plain(io.TextIOWrapper(raw, encoding="ascii"), Terminal())
    plain.event(Event("written", "药水/红", {"path": "p"}))
    assert b"\\u836f" in raw.getvalue()


def test_money_is_added_by_unit() -> None:
    tally = Tally()
    prices: list[dict[str, Any]] = [{"usd": "0.03"}, {"usd": "0.075"}, {"apiframe": "12"}]
    for number, price in enumerate(prices):
        tally.note(Event("stored", f"a/{number}", {"price": price}))
    tally.note(Event("submitted", "a/unknown", {}))
    assert tally.flying == {"a/unknown"}
    tally.note(Event("stored", "a/unknown", {"price": None}))
    assert tally.flying == set()
    assert tally.spent == {"usd": Decimal("0.105"), "apiframe": Decimal(12)}
