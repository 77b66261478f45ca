"""What is said while a run waits, and when an asset is paused: numbers and words alone, without a build."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qwenbuild.run import waits as run_waits
from qwenbuild.run.failures import STOP_AFTER, Failures
from qwenbuild.run.waits import FLIGHTS_KEPT, Flight, OpenWaits

# ---------------------------------------------------------------- pausing


def notes(failures: Failures, ends: str, asset: str = "cats") -> list[int]:
    """Tell how pictures ended, `x` for a failure; the places at which the asset was paused."""
    return [n for n, end in enumerate(ends, 1) if failures.note(asset, "too dark" if end == "x" else "")]


@pytest.mark.parametrize(
    ("ends", "paused"),
    [
        ("xxxx", []),
        ("xxxxx", [5]),
        ("xxxx.xxxx", [7]),
        ("x.x.x.x.x.x", []),
        ("x.xx.x.xx.", [9]),
        ("x.x.x.x.x.", []),
        ("x.x.x.x.x..x", []),
        ("..........xxxxx", [15]),
        ("xxxxxxxxxx", [5]),
        (".....xxxx.x", []),
        ("xx...xx..x.x..x", []),
    ],
)
def test_an_asset_is_paused_after_five_failures_in_a_row_or_six_of_ten(ends: str, paused: list[int]) -> None:
    assert STOP_AFTER == 5
    assert notes(Failures(), ends) == paused


def test_the_sentence_of_a_pause_says_how_many_failed_and_why_the_last_one_did() -> None:
    row, among = Failures({"cats": 3}), Failures({"cats": 3})
    for _ in range(2):
        row.note("cats", "blurred")
    assert row.note("cats", "too dark").startswith("cats is paused, nothing more of it is bought: 3 in a row of its pictures")
    for why in ("a", "b", "", "c", ""):
        assert among.note("cats", why) == ""
    said = among.note("cats", "too dark")
    assert "4 of the last 6 of its pictures failed, the last one because: too dark. " in said
    assert "`qwenbuild build asset:cats`" in said
    assert among.paused == {"cats": said}


def test_assets_are_counted_apart_by_their_own_numbers_and_0_never_pauses() -> None:
    failures = Failures({"cats": 2, "dogs": 0})
    assert notes(failures, "x") == []
    assert notes(failures, "x" * 50, "dogs") == []
    assert notes(failures, "xxxx", "owls") == []
    assert notes(failures, "x") == [1]
    assert notes(failures, "xxx") == []
    assert set(failures.paused) == {"cats"}


# ---------------------------------------------------------------- requests on their way


def flight(state: Any = "sent", maker: str = "maker m", entry: str = "a", since: float = 0.0, settles: bool = True) -> Flight:
    return Flight(entry, maker, settles, since, state)


def test_requests_that_are_over_are_remembered_up_to_256_and_those_on_their_way_always() -> None:
    told = OpenWaits(lambda: 0.0)
    for number in range(FLIGHTS_KEPT):
        told.add(f"over{number}", flight("accepted"))
    assert len(told.flights) == FLIGHTS_KEPT == 256
    told.add("new", flight())
    assert set(told.flights) == {"new"}
    assert told.room == FLIGHTS_KEPT
    for number in range(FLIGHTS_KEPT - 1):
        told.add(str(number), flight())
    assert len(told.flights) == FLIGHTS_KEPT
    told.add("one more", flight())
    assert (len(told.flights), told.room) == (FLIGHTS_KEPT + 1, 2 * FLIGHTS_KEPT)


def test_what_is_accepted_counts_while_its_attempt_is_collected() -> None:
    told = OpenWaits(lambda: 0.0, {"b"}, {"a": flight("accepted"), "b": flight("accepted"), "c": flight("ready")})
    assert set(told.flying()) == {"b", "c"}


def test_what_is_drawn_is_told_by_who_draws_it_with_the_age_of_the_oldest() -> None:
    told = OpenWaits(
        lambda: 100.0,
        {"b", "c"},
        {
            "a": flight("sent", since=90.0),
            "b": flight("accepted", since=50.0),
            "c": flight("accepted", since=40.0),
            "d": flight("ready"),
            "e": flight("sent", "other", since=101.0),
        },
    )
    assert told.drawing() == [
        "maker m to answer 1 picture, 10 s so far",
        "maker m to draw 2 pictures, 60 s so far",
        "other to answer 1 picture, 0 s so far",
    ]
    assert told.words() == f"Waiting: {'; '.join(told.drawing())}."


def test_nothing_that_is_waited_for_is_no_word() -> None:
    assert OpenWaits(lambda: 0.0, set(), {"d": flight("ready")}).words() == ""


def test_many_waits_for_one_thing_are_said_once_with_the_last_end() -> None:
    now = [10.0]
    told = OpenWaits(lambda: now[0])
    with told.waits_for("for a list", 99.0), told.waits_for("for a list", 1.0):
        assert told.words() == "Waiting: for a list (2 times), 99 s more."
        with told.waits_for("for a turn", 5.0):
            assert told.words() == "Waiting: for a list (2 times), 99 s more; for a turn, 5 s more."
    with told.waits_for("for a turn", 5.0), told.waits_for("for a turn", 30.0), told.waits_for("for a turn", 8.0):
        assert told.words() == "Waiting: for a turn (3 times), 30 s more."
        now[0] = 38.0
        assert told.words() == "Waiting: for a turn (3 times), 2 s more."
        now[0] = 39.0
        assert told.words() == "Waiting: for a turn (3 times), 29 s so far."
        with told.waits_for("for a turn"):
            now[0] = 20.0
            assert told.words() == "Waiting: for a turn (4 times), 10 s so far."
    assert (told.waits, told.words()) == ({}, "")


@pytest.mark.parametrize(("gap", "said"), [(2.0, 12), (2.1, 0)])
def test_a_wait_that_begins_anew_within_two_seconds_goes_on(gap: float, said: int) -> None:
    now = [0.0]
    told = OpenWaits(lambda: now[0])
    with told.waits_for("for a turn"):
        now[0] += 10.0
    now[0] += gap
    with told.waits_for("for a turn"):
        assert told.words() == f"Waiting: for a turn, {said} s so far."


def test_a_wait_that_ends_by_an_error_is_over() -> None:
    told = OpenWaits(lambda: 0.0)
    with pytest.raises(ValueError, match="x"), told.waits_for("for a turn"):
        raise ValueError("x")
    assert told.waits == {}


def test_what_leaving_costs_is_told_for_each_maker_with_five_names_and_how_many_more() -> None:
    flights = {str(n): flight("sent", entry=f"n{n}") for n in range(6)}
    flights |= {f"r{n}": flight("ready", "alpha", f"r{n}") for n in range(5)}
    said = OpenWaits(lambda: 0.0, set(), flights).leaving()
    assert len(said) == 2
    assert said[0] == "alpha: 5 not sent yet (r0, r1, r2, r3, r4): they cost nothing."
    assert said[1].startswith("maker m: 6 sent and not answered yet, perhaps paid for (n0, n1, n2, n3, n4 and 1 more): ")


@pytest.mark.parametrize(
    ("state", "settles", "words"),
    [
        ("ready", False, "2 not sent yet (a, b): they cost nothing."),
        ("accepted", False, "2 accepted and paid for (a, b): if you leave, the next build collects them."),
        ("sent", True, "2 sent and not answered yet, perhaps paid for (a, b): if you leave, the next build asks what"),
        ("sent", False, "2 sent and not answered yet, perhaps paid for (a, b): if you leave, they will be in doubt, "),
    ],
)
def test_what_leaving_costs_is_told_by_how_far_requests_came(state: Any, settles: bool, words: str) -> None:
    flights = {name: flight(state, entry=name, settles=settles) for name in "ab"}
    (said,) = OpenWaits(lambda: 0.0, {"a", "b"}, flights).leaving()
    assert said.startswith(f"maker m: {words}")


# ---------------------------------------------------------------- when it is said


class Steps:
    """Instead of sleeping: each sleep is noted, and something may happen in it."""

    def __init__(self, told: OpenWaits, words_at: tuple[int, ...], many: int) -> None:
        self.told, self.words_at, self.many, self.slept = told, words_at, many, 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.slept >= self.many:
            raise asyncio.CancelledError
        if self.slept in self.words_at:
            self.told.messages += 1


def said_at(
    monkeypatch: pytest.MonkeyPatch, words_at: tuple[int, ...] = (), many: int = 200, *, waits: bool = True
) -> list[float]:
    told = OpenWaits(lambda: 0.0)
    steps, said = Steps(told, words_at, many), []
    monkeypatch.setattr(asyncio, "sleep", steps.sleep)

    async def watched() -> None:
        def tell(words: str) -> None:
            assert words == "Waiting: for a turn, 0 s so far."
            said.append(steps.slept)
            told.messages += 1

        if waits:
            with told.waits_for("for a turn"):
                await run_waits.watch(told, tell)
        await run_waits.watch(told, tell)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watched())
    return said


def test_silence_is_broken_after_2_seconds_and_then_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_at(monkeypatch) == [2.0, 17.0, 47.0, 107.0, 167.0]


def test_a_word_begins_the_silence_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_at(monkeypatch, (1, 20), 40) == [3.0, 18.0, 22.0, 37.0]


def test_with_nothing_to_wait_for_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_at(monkeypatch, many=50, waits=False) == []
