"""The pace of an account is kept across builds, narrowed by a 429, and lost by nobody's death."""

from __future__ import annotations

import asyncio
import errno
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.model import Limits
from qwenbuild.pace import lanefiles
from qwenbuild.pace.clock import FakeTime, Waits
from qwenbuild.pace.lanes import FileLane, FileLanes, LaneTurn
from qwenbuild.pace.spacing import MARGIN, TRAVEL_S


def lane(folder: Path, clock: FakeTime, rps: float = 2.0, concurrency: int = 2) -> FileLane:
    return FileLanes(folder, clock.waits()).lane("account", "model", Limits(rps, concurrency))


async def departures(way: FileLane, clock: FakeTime, count: int) -> list[float]:
    times = []
    for _ in range(count):
        (await way.turn()).left()
        times.append(clock.now)
    return times


async def pass_up(way: FileLane) -> None:
    """Take a turn and do not use it."""
    with await way.turn():
        pass


def approx(times: list[float]) -> Any:
    return pytest.approx(times, abs=0.011)


def gaps(times: list[float]) -> list[float]:
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]


async def test_submissions_leave_evenly_with_a_margin(tmp_path: Path) -> None:
    clock = FakeTime()
    assert gaps(await departures(lane(tmp_path, clock), clock, 5)) == approx([MARGIN / 2] * 4)


async def test_many_who_wait_leave_one_after_the_other(tmp_path: Path) -> None:
    clock = FakeTime()
    way, times = lane(tmp_path, clock, rps=20), []

    async def one() -> None:
        (await way.turn()).left()
        times.append(clock.now)

    await asyncio.gather(*(one() for _ in range(50)))
    assert min(gaps(times)) >= 0.5 / 20
    assert times[-1] <= 1.1 * 50 / 20


async def test_a_limit_by_the_minute_is_kept_in_every_minute_and_nothing_is_lost_to_it(tmp_path: Path) -> None:
    clock, row = FakeTime(), Catalog.load().find("dashscope", "qwen-image-3.0")
    assert row is not None
    way = lane(tmp_path, clock, rps=row.rate())
    times = await departures(way, clock, 30)
    assert min(later - earlier for earlier, later in zip(times, times[5:], strict=False)) >= 60
    assert times[-1] - times[0] <= 1.03 * 29 * 12


async def test_a_limit_by_the_minute_outlives_the_build_that_kept_it(tmp_path: Path) -> None:
    clock, times = FakeTime(), []
    for _ in range(8):
        way = lane(tmp_path, clock, rps=5 / 60)
        await pass_up(way)
        times.append(clock.now)
    assert min(gaps(times)) >= 12


async def test_two_builds_share_the_spacing(tmp_path: Path) -> None:
    clock = FakeTime()
    first, second = lane(tmp_path, clock), lane(tmp_path, clock)
    times = []
    for way in (first, second) * 4:
        await pass_up(way)
        times.append(clock.now)
    assert min(gaps(times)) >= 1 / 2


async def test_somebody_who_leaves_late_delays_the_next_instead_of_bunching_up(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock)
    with await way.turn():
        clock.now += 0.9
    await pass_up(way)
    await pass_up(way)
    assert clock.now >= 0.9 + 1 / 2


async def test_late_sleepers_neither_slow_the_pace_nor_crowd_any_second(tmp_path: Path) -> None:
    clock, late = FakeTime(), iter([0.003, 0.012, 0.0, 0.04, 0.001] * 100)

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds + next(late))

    way = FileLanes(tmp_path, replace(clock.waits(), sleep=sleep)).lane("account", "model", Limits(20, 40))
    times = await departures(way, clock, 400)
    assert times[-1] < 1.1 * 400 / 20
    assert min(later - earlier for earlier, later in zip(times, times[20:], strict=False)) >= 1.0


async def test_a_submission_that_arrived_late_holds_back_the_one_that_would_crowd_its_second(tmp_path: Path) -> None:
    clock = FakeTime()
    way, arrivals = lane(tmp_path, clock, rps=10), []

    async def one(number: int) -> None:
        turn = await way.turn()
        await clock.sleep(0.05 if number % 7 == 0 else 0.001)
        arrivals.append(clock.now)
        turn.accepted()

    for number in range(60):
        await asyncio.create_task(one(number))
    assert min(later - earlier for earlier, later in zip(arrivals, arrivals[10:], strict=False)) >= 1.0


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
async def test_a_jump_of_the_days_clock_never_waits_more_than_one_interval(tmp_path: Path, jump: float) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock)
    await pass_up(way)
    clock.started += jump
    before = clock.now
    await pass_up(way)
    assert clock.now - before <= MARGIN / 2 + 0.001


async def test_a_lane_left_by_another_boot_waits_no_longer(tmp_path: Path) -> None:
    clock = FakeTime()
    clock.now = 1_000_000.0
    await lane(tmp_path, clock).turn()
    reborn = FakeTime(clock.started + clock.now + 60)
    await lane(tmp_path, reborn).turn()
    assert reborn.now == 0


async def test_a_fast_lane_left_by_another_boot_still_counts(tmp_path: Path) -> None:
    clock = FakeTime()
    clock.now = 1_000_000.0
    await departures(lane(tmp_path, clock, 20), clock, 30)
    reborn = FakeTime(clock.started + clock.now + 60)
    times = await departures(lane(tmp_path, reborn, 20), reborn, 60)
    assert times[0] == 0
    assert min(later - earlier for earlier, later in zip(times, times[20:], strict=False)) >= 1.0


async def test_a_build_that_died_between_turn_and_departure_holds_up_the_next_for_seconds_at_most(tmp_path: Path) -> None:
    clock = FakeTime()
    dead = lane(tmp_path, clock)
    for _ in range(2):
        await dead.turn()
    before = clock.now
    await departures(lane(tmp_path, clock), clock, 1)
    assert 1.0 < clock.now - before <= 4.1


async def test_a_turn_that_is_not_used_is_given_to_the_next(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock, 20)
    for _ in range(60):
        async with way.slot():
            await pass_up(way)
    assert clock.now <= 60 / 20


async def test_at_most_so_many_are_in_flight_over_all_builds(tmp_path: Path) -> None:
    clock = FakeTime()
    ways = [lane(tmp_path, clock, 1000, 3), lane(tmp_path, clock, 1000, 3)]
    inside, most = 0, 0

    async def job(way: FileLane) -> None:
        nonlocal inside, most
        async with way.slot():
            inside += 1
            most = max(most, inside)
            await clock.sleep(0.2)
            inside -= 1

    await asyncio.gather(*(job(ways[number % 2]) for number in range(20)))
    assert most == 3
    assert inside == 0


async def test_the_first_to_wait_is_the_first_to_go(tmp_path: Path) -> None:
    clock = FakeTime()
    way, order = lane(tmp_path, clock, 1000, 1), []

    async def job(number: int) -> None:
        async with way.slot():
            order.append(number)
            await clock.sleep(0.01)

    await asyncio.gather(*(job(number) for number in range(6)))
    assert order == list(range(6))


async def test_a_place_is_given_back_when_a_job_fails_or_is_cancelled(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock, 1000, 1)
    with pytest.raises(ZeroDivisionError):
        async with way.slot():
            raise ZeroDivisionError
    held = asyncio.create_task(hold(way))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(hold(way))
    await asyncio.sleep(0.01)
    waiting.cancel()
    held.cancel()
    await asyncio.gather(held, waiting, return_exceptions=True)
    async with asyncio.timeout(5), way.slot():
        pass


async def hold(way: FileLane) -> None:
    async with way.slot():
        await asyncio.sleep(3600)


HOLDER = """
import asyncio, sys
from pathlib import Path
from qwenbuild.catalog import Catalog
from qwenbuild.model import Limits
from qwenbuild.pace.lanes import FileLanes
async def main():
    async with FileLanes(Path(sys.argv[1])).lane("account", "model", Limits(1000, 1)).slot():
        print("held", flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.stdout.close()
    return holder


async def test_kill_9_of_a_build_frees_its_places(tmp_path: Path) -> None:
    holder = holding(tmp_path)
    way = FileLanes(tmp_path).lane("account", "model", Limits(1000, 1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), way.slot():
            pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    async with asyncio.timeout(5), way.slot():
        pass


async def test_a_429_halves_the_rate_and_success_widens_it_again(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock)
    with await way.turn():
        way.throttled(None, narrow=False)
    narrowed = gaps(await departures(way, clock, 3))[-1]
    assert narrowed == pytest.approx(MARGIN, abs=0.02)
    for _ in range(10):
        way.went_well()
    assert gaps(await departures(way, clock, 4))[-1] == pytest.approx(MARGIN / 2, abs=0.011)


async def test_refusals_of_one_moment_narrow_once(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock)
    with await way.turn():
        for _ in range(5):
            way.throttled(None, narrow=False)
    assert gaps(await departures(way, clock, 3))[-1] == pytest.approx(MARGIN, abs=0.02)


async def test_a_concurrency_429_takes_one_place_and_gives_it_back_slowly(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock, 1000, 3)
    way.throttled(0.0, narrow=True)
    assert await most_inside(way, clock) == 2
    for _ in range(8):
        way.went_well()
    assert await most_inside(way, clock) == 3


async def most_inside(way: FileLane, clock: FakeTime) -> int:
    inside, most = 0, 0

    async def job() -> None:
        nonlocal inside, most
        async with way.slot():
            inside += 1
            most = max(most, inside)
            await clock.sleep(0.2)
            inside -= 1

    await asyncio.gather(*(job() for _ in range(9)))
    return most


@pytest.mark.parametrize(("told", "waited"), [(5.0, 5.0), (4000.0, 120.0), (None, 1.0)])
async def test_retry_after_holds_every_build_back_and_is_capped(tmp_path: Path, told: float | None, waited: float) -> None:
    clock = FakeTime()
    lane(tmp_path, clock).throttled(told, narrow=False)
    await lane(tmp_path, clock).turn()
    assert waited - 0.01 <= clock.now <= waited + 0.01


def tear(folder: Path) -> None:
    state = next(folder.glob("*.json"))
    assert json.loads(state.read_text())
    state.write_text('{"next_steady": 12')


async def test_a_torn_state_file_starts_anew(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock)
    await way.turn()
    tear(tmp_path)
    await way.turn()
    assert clock.now == 0


async def test_nobodys_lane_has_places_and_no_spacing_and_no_files(tmp_path: Path) -> None:
    clock = FakeTime()
    way = FileLanes(tmp_path / "pace", clock.waits()).lane("", "placeholder", Limits(float("inf"), 3))
    assert await departures(way, clock, 100) == [0.0] * 100
    assert await most_inside(way, clock) == 3
    assert not (tmp_path / "pace").exists()


async def test_fifty_who_wait_cost_next_to_nothing(tmp_path: Path) -> None:
    way = FileLanes(tmp_path, Waits()).lane("account", "model", Limits(1000, 50))
    other = FileLanes(tmp_path, Waits()).lane("account", "model", Limits(1000, 50))
    holders = [asyncio.create_task(hold(way)) for _ in range(50)]
    await asyncio.sleep(0.2)
    waiters = [asyncio.create_task(hold(other)) for _ in range(50)]
    await asyncio.sleep(0.2)
    before = time.process_time()
    await asyncio.sleep(2.0)
    spent = time.process_time() - before
    for task in (*holders, *waiters):
        task.cancel()
    await asyncio.gather(*holders, *waiters, return_exceptions=True)
    assert spent < 0.5


async def test_spacing_counts_from_when_a_submission_leaves(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock, 2, 9)
    turn = await way.turn()
    clock.now += 0.3
    turn.left()
    await way.turn()
    assert clock.now >= 0.3 + 0.5


async def test_what_leaves_after_its_job_was_ended_counts_all_the_same(tmp_path: Path) -> None:
    """Ctrl-C ends a job, and its submission, which cannot be taken back any more, leaves nevertheless."""
    clock = FakeTime()
    way = lane(tmp_path, clock, 2, 9)
    with await way.turn() as turn:
        pass
    clock.now += 0.3
    turn.left()
    await way.turn()
    assert clock.now >= 0.3 + 0.5


async def test_trouble_with_its_files_never_hides_that_a_submission_was_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a ticket, an error here would lose it: the note waits for the next turn, and a lost folder is made again."""
    clock = FakeTime()
    way = lane(tmp_path / "pace", clock, 20)
    first, second = await way.turn(), await way.turn()
    before = clock.now
    shutil.rmtree(tmp_path / "pace")
    first.left()
    first.accepted()
    assert (tmp_path / "pace").is_dir()

    def full(self: object, text: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lanefiles.Note, "write", full)
        second.left()
        way.throttled(5.0, narrow=False)
        second.accepted()
        with pytest.raises(OSError, match="no space"):
            await way.turn()
    await way.turn()
    assert clock.now == approx(before + 5.0)


async def test_what_leaves_late_in_a_task_of_its_own_counts_from_when_it_left(tmp_path: Path) -> None:
    clock = FakeTime()
    way, left = lane(tmp_path, clock, 20, 100), []

    async def one(number: int) -> None:
        turn = await way.turn()
        clock.now += 0.3 if number == 0 else 0.0  # connecting took its time
        left.append(clock.now)
        await asyncio.create_task(later(turn))

    async def later(turn: LaneTurn) -> None:
        turn.left()

    for number in range(60):
        await one(number)
    assert all(after - before >= 1.0 for before, after in zip(left, left[20:], strict=False))


# ---------------------------------------------------------------- getting ready before one's time


def in_virtual_time(main: Callable[[Waits], Coroutine[Any, Any, None]]) -> float:
    """Run it on a loop whose clock jumps to the next moment at which somebody wakes; seconds that it took by that clock."""
    loop, now = asyncio.new_event_loop(), [0.0]
    select = loop._selector.select  # type: ignore[attr-defined]

    def jump(timeout: float | None) -> Any:
        now[0] += timeout + 1e-6 if timeout else 0.0  # a clock moves on by itself
        return select(0)

    loop.time = lambda: now[0]  # type: ignore[method-assign]
    loop._selector.select = jump  # type: ignore[attr-defined]
    try:
        loop.run_until_complete(main(Waits(asyncio.sleep, lambda: now[0], lambda: 1_795_000_000.0 + now[0])))
    finally:
        loop.close()
    return now[0]


async def submit(way: FileLane, ready_after: float, left: list[float], waits: Waits) -> None:
    """One submission that is ready to leave so many seconds after its turn, and is answered 5 ms after it left."""
    turn = await way.turn()
    await asyncio.sleep(ready_after)
    await turn.due()
    left.append(waits.steady())
    turn.left()
    await asyncio.sleep(0.005)
    turn.accepted()


def story(folder: Path, rps: float, ready: Sequence[float]) -> tuple[list[float], float]:
    """When each of them left, and when all was over."""
    left: list[float] = []

    async def main(waits: Waits) -> None:
        way = FileLanes(folder, waits).lane("account", "model", Limits(rps, 1000))
        async with asyncio.TaskGroup() as group:
            for seconds in ready:
                group.create_task(submit(way, seconds, left, waits))

    return left, in_virtual_time(main)


@pytest.mark.parametrize("ready", [0.0, 0.006, 0.3, 0.7])
def test_getting_ready_takes_nothing_of_the_pace(tmp_path: Path, ready: float) -> None:
    """A connection to another continent takes half a second; 20 submissions a second leave nevertheless."""
    left, _ = story(tmp_path, 20, [ready] * 400)
    assert left[-1] - left[0] < 1.03 * 399 / 20
    assert min(after - before for before, after in zip(left, left[20:], strict=False)) >= 1.0


def test_getting_ready_takes_nothing_of_a_slow_pace_either(tmp_path: Path) -> None:
    left, _ = story(tmp_path, 2, [0.7] * 60)
    assert left[-1] - left[0] < 1.05 * 59 / 2
    assert min(after - before for before, after in zip(left, left[2:], strict=False)) >= 1.0


def test_who_gets_ready_late_crowds_no_second(tmp_path: Path) -> None:
    times = random.Random(7)
    ready = [times.choice([0.01, 0.02, 0.05, 0.4, 1.2]) for _ in range(400)]
    left, _ = story(tmp_path, 20, ready)
    assert min(after - before for before, after in zip(left, left[20:], strict=False)) >= 1.0
    assert left[-1] - left[0] < 1.2 * 399 / 20


async def test_a_refusal_doubles_the_guess_of_the_way_there_and_success_takes_it_back(tmp_path: Path) -> None:
    clock = FakeTime()
    way = lane(tmp_path, clock, 20)
    for guess in (0.02, 0.04, 0.08, 0.1):
        clock.now += 5  # refusals of one moment are one
        way.throttled(0.0, narrow=False)
        assert kept(tmp_path)["travel"] == pytest.approx(guess)
    for _ in range(2000):
        way.went_well()
    assert kept(tmp_path)["travel"] == TRAVEL_S


def kept(folder: Path) -> dict[str, Any]:
    """What the lane's file says."""
    found: dict[str, Any] = json.loads(next(folder.glob("*.json")).read_text())
    return found


async def test_a_far_pace_keeps_no_long_list(tmp_path: Path) -> None:
    """Submissions that are out of the span say nothing more; the file is written with each of them."""
    clock = FakeTime()
    way = lane(tmp_path, clock, 1000, 200)
    for _ in range(100):
        (await way.turn()).left()
        clock.now += 0.02
    assert len(kept(tmp_path)["recent"]) < 8
