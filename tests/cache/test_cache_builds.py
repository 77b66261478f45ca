"""Builds and budgets: who is alive, who owns an attempt, and what a project may still spend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from cachelab import begin, begun, digest_of, ticket

from qwenbuild.cache import Cache
from qwenbuild.cache.attempts import AttemptState, Busy
from qwenbuild.errors import CacheError

CENTS = {"usd": Decimal("0.03")}
LIMIT = {"usd": Decimal("0.10")}

HOLD = """
import sys
sys.path.insert(0, {here!r})
from decimal import Decimal
from pathlib import Path
from cachelab import begun
from qwenbuild.cache import Cache
cache = Cache.open(Path(sys.argv[1]))
build = cache.start_build()
cache.journal.open_budget(build.id, {{"usd": Decimal("0.10")}}, "/p/qwenbuild.lock")
assert cache.journal.reserve(build.id, {{"usd": Decimal("0.03")}})
attempt = begun(cache, 1, build.id)
assert cache.journal.reserve(build.id, {{"usd": Decimal("0.03")}})
print(build.id, attempt.id, flush=True)
sys.stdin.readline()
"""


class Held:
    """A build in another process, with one intent and one more reservation."""

    def __init__(self, root: Path) -> None:
        script = HOLD.format(here=str(Path(__file__).parent))
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.build, self.attempt = self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def held(cache: Cache) -> Held:
    return Held(cache.root)


def test_a_build_lives_until_it_is_closed(cache: Cache) -> None:
    build = cache.start_build()
    assert cache.builds.is_alive(build.id)
    assert cache.builds.alive() == [build.id]
    build.close()
    build.close()
    assert not cache.builds.is_alive(build.id)
    assert cache.builds.alive() == []


def test_two_builds_in_one_process_are_two(cache: Cache) -> None:
    with cache.start_build() as one, cache.start_build() as two:
        assert set(cache.builds.alive()) == {one.id, two.id}
    assert cache.builds.alive() == []


def test_what_never_was_a_build_is_not_alive(cache: Cache) -> None:
    assert not any(cache.builds.is_alive(name) for name in ("", "import", "../../x", "f" * 32))


def test_kill_9_frees_a_build_and_its_attempt_can_be_taken_over(cache: Cache, held: Held) -> None:
    with cache.start_build() as mine:
        assert cache.builds.is_alive(held.build)
        busy = begin(cache, 1, mine.id)
        assert isinstance(busy, Busy)
        assert busy.attempt.id == held.attempt
        assert not cache.journal.takeover(held.attempt, mine.id)
        held.kill()
        assert not cache.journal.is_alive(held.build)
        assert cache.journal.takeover(held.attempt, mine.id)
        assert cache.journal.takeover(held.attempt, mine.id)
        attempt = cache.journal.get(held.attempt)
        assert attempt is not None
        assert (attempt.build, attempt.state) == (mine.id, AttemptState.INTENT)
        with cache.start_build() as late:
            assert not cache.journal.takeover(held.attempt, late.id)


def test_files_of_dead_builds_are_swept_and_those_of_living_ones_are_not(cache: Cache, held: Held) -> None:
    path = cache.builds.path(held.build)
    old = time.time() - 1000
    os.utime(path, (old, old))
    cache.start_build().close()
    assert path.exists()
    held.kill()
    cache.start_build().close()
    assert not path.exists()


def test_nothing_is_removed_while_a_build_runs(cache: Cache) -> None:
    with cache.start_build(), pytest.raises(CacheError, match="a build is using"), cache.builds.none_running():
        pass
    with cache.builds.none_running():
        pass


# ------------------------------------------------ budget


def open_build(cache: Cache, project: str = "/p/qwenbuild.lock") -> str:
    build = cache.start_build()
    cache.journal.open_budget(build.id, LIMIT, project)
    return build.id


def test_no_more_than_the_limit_is_reserved(cache: Cache) -> None:
    build = open_build(cache)
    assert [cache.journal.reserve(build, CENTS) for _ in range(5)] == [True, True, True, False, False]
    assert cache.journal.spent(build) == {"usd": Decimal("0.09")}


def test_bytes_that_came_and_are_no_picture_stay_in_the_budget_and_a_refusal_does_not(cache: Cache) -> None:
    build = open_build(cache)
    cache.journal.refuse(begun(cache, 1, build).id, "content", "")
    cache.journal.refuse(begun(cache, 2, build).id, "bad-picture", "", "ab" * 32)
    assert cache.journal.spent(build) == CENTS


def test_a_reservation_becomes_the_attempt_and_is_not_counted_twice(cache: Cache) -> None:
    build = open_build(cache)
    for number in range(3):
        assert cache.journal.reserve(build, CENTS)
        begun(cache, number, build)
    assert cache.journal.spent(build) == {"usd": Decimal("0.09")}
    assert not cache.journal.reserve(build, CENTS)


def test_what_failed_for_free_is_given_back_and_what_was_stored_is_not(cache: Cache) -> None:
    build = open_build(cache)
    cache.journal.reserve(build, CENTS)
    failed = begun(cache, 1, build)
    cache.journal.fail(failed.id, "500", "")
    assert cache.journal.spent(build) == {}
    cache.journal.reserve(build, CENTS)
    stored = begun(cache, 2, build)
    cache.journal.ticket(stored.id, ticket(2))
    cache.journal.stored(stored.id, digest_of(b"x"), {"usd": Decimal("0.05")})
    assert cache.journal.spent(build) == {"usd": Decimal("0.05")}


def test_retries_and_doubts_count(cache: Cache) -> None:
    build = open_build(cache)
    doubtful = begun(cache, 1, build)
    cache.journal.doubt(doubtful.id, "silence", "")
    begun(cache, 1, build, names_attempt=doubtful.id)
    assert cache.journal.spent(build) == {"usd": Decimal("0.06")}


def test_a_reservation_that_came_to_nothing_is_given_back_once(cache: Cache) -> None:
    build = open_build(cache)
    cache.journal.reserve(build, CENTS)
    cache.journal.reserve(build, CENTS)
    cache.journal.settle(build, CENTS)
    cache.journal.settle(build, {"usd": Decimal("9")})
    assert cache.journal.spent(build) == CENTS


def test_a_unit_without_a_limit_is_not_bounded_and_each_unit_is_its_own(cache: Cache) -> None:
    build = open_build(cache)
    assert cache.journal.reserve(build, {"apiframe": Decimal(1000)})
    assert not cache.journal.reserve(build, {"apiframe": Decimal(1), "usd": Decimal("0.11")})
    assert cache.journal.reserve(build, None)
    assert cache.journal.reserve(build, {})


def test_two_builds_of_a_project_share_what_is_left(cache: Cache) -> None:
    one, two = open_build(cache), open_build(cache)
    assert [cache.journal.reserve(build, CENTS) for build in (one, two, one, two)] == [True, True, True, False]
    other = open_build(cache, "/q/qwenbuild.lock")
    assert cache.journal.reserve(other, CENTS)


def test_a_build_that_was_killed_is_continued(cache: Cache, held: Held) -> None:
    held.kill()
    build = open_build(cache)
    assert cache.journal.spent(build) == CENTS, "the intent counts, the dead build's bare reservation does not"
    assert [cache.journal.reserve(build, CENTS) for _ in range(3)] == [True, True, False]


def test_a_build_that_exited_is_closed(cache: Cache, held: Held) -> None:
    held.kill()
    build = open_build(cache)
    cache.journal.close_budget(build)
    fresh = open_build(cache)
    assert cache.journal.spent(fresh) == {}


def test_the_session_ends_with_its_last_living_build(cache: Cache) -> None:
    one, two = open_build(cache), open_build(cache)
    begun(cache, 1, one)
    cache.journal.close_budget(one)
    assert cache.journal.spent(two) == CENTS
    cache.journal.close_budget(two)
    assert cache.journal.spent(open_build(cache)) == {}


def test_a_build_without_a_budget_is_not_bounded(cache: Cache) -> None:
    build = cache.start_build()
    assert cache.journal.reserve(build.id, {"usd": Decimal(1000)})
    assert cache.journal.spent(build.id) == {}
    cache.journal.close_budget(build.id)
    build.close()
