"""The journal: one live attempt a key, only legal changes, on the disk when the call returns, and no trust in a broken file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cachelab import begin, begun, digest_of, key, ticket
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.cache import Cache, Intent
from qwenbuild.cache.attempts import COSTS, EDGES, Attempt, AttemptState, Busy, follow
from qwenbuild.cache.care import rebuild
from qwenbuild.cache.journal import QUERY_KEYS_MAX
from qwenbuild.cache.schema import USER_VERSION
from qwenbuild.errors import CacheError

DIGEST = digest_of(b"picture")


def rows(cache: Cache, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(cache.root / "journal.db")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_an_intent_is_on_the_disk_with_its_exact_body_before_begin_returns(cache: Cache) -> None:
    attempt = begun(cache, 1, build="b" * 32, body=b"\x00exact\xff")
    with Cache.open(cache.root) as other:
        found = other.journal.get(attempt.id)
    assert found == attempt
    assert (attempt.state, attempt.body, attempt.generation) == (AttemptState.INTENT, b"\x00exact\xff", 0)
    assert attempt.cost == {"usd": Decimal("0.03")}


def test_the_file_is_private_and_durable(cache: Cache) -> None:
    begun(cache, 1)
    assert (cache.root / "journal.db").stat().st_mode & 0o777 == 0o600
    with cache.journal.writing() as db:
        pragmas = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "secure_delete")
        }
    assert pragmas == {"journal_mode": "delete", "synchronous": 3, "secure_delete": 1}
    assert rows(cache, "PRAGMA user_version") == [(USER_VERSION,)]


def test_a_second_attempt_of_a_key_is_not_begun_while_one_is_open(cache: Cache) -> None:
    first = begun(cache, 1)
    assert begin(cache, 1) == Busy(first)
    opened = cache.journal.ticket(first.id, ticket(1))
    assert begin(cache, 1) == Busy(opened)
    doubtful = cache.journal.doubt(first.id, "lost", "the provider does not know it")
    assert begin(cache, 1) == Busy(doubtful)
    cache.journal.drop(first.id)
    assert begun(cache, 1).generation == 1


def test_every_attempt_has_its_own_generation_and_the_body_may_depend_on_it(cache: Cache) -> None:
    for generation in range(3):
        attempt = begun(cache, 1, body=lambda number: b"body %d" % number)
        assert (attempt.generation, attempt.body) == (generation, b"body %d" % generation)
        cache.journal.fail(attempt.id, "500", "no")


def test_the_whole_way_from_intent_to_stored(cache: Cache) -> None:
    attempt = begun(cache, 1)
    taken = cache.journal.ticket(attempt.id, ticket(1, facts={"eta": 3}, data=b"never here"))
    assert taken.ticket == ticket(1, facts={"eta": 3})
    ready = cache.journal.ready(attempt.id, "https://cdn.test/y.png?Signature=secret2")
    assert (ready.state, ready.url) == (AttemptState.READY, "https://cdn.test/y.png?Signature=secret2")
    done = cache.journal.stored(attempt.id, DIGEST, {"usd": Decimal("0.025")})
    assert (done.state, done.digest, done.cost) == (AttemptState.STORED, DIGEST, {"usd": Decimal("0.025")})
    assert cache.journal.live() == []


def test_signed_links_and_bodies_are_gone_from_the_file_after_stored(cache: Cache) -> None:
    attempt = begun(cache, 1, body=b"the body that was sent")
    cache.journal.ticket(attempt.id, ticket(1, facts={"link": "https://x.test/a?Signature=secret"}))
    cache.journal.ready(attempt.id, "https://cdn.test/y.png?Signature=secret")
    assert b"secret" in (cache.root / "journal.db").read_bytes()
    cache.journal.stored(attempt.id, DIGEST)
    data = (cache.root / "journal.db").read_bytes()
    assert b"secret" not in data
    assert b"the body that was sent" not in data
    assert cache.journal.get(attempt.id).body_sha256 == digest_of(b"the body that was sent")  # type: ignore[union-attr]


def test_a_providers_message_is_kept_without_the_query_of_its_link(cache: Cache) -> None:
    attempt = begun(cache, 1)
    failed = cache.journal.fail(attempt.id, "x", "see https://cdn.test/a.png?Signature=secret")
    assert "secret" not in failed.message


def test_stored_said_twice_is_harmless_and_said_differently_is_refused(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.journal.ticket(attempt.id, ticket(1))
    done = cache.journal.stored(attempt.id, DIGEST)
    assert cache.journal.stored(attempt.id, DIGEST) == done
    with pytest.raises(CacheError):
        cache.journal.stored(attempt.id, digest_of(b"other"))


def test_an_attempt_that_never_left_is_opened_again_under_its_own_generation(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.journal.fail(attempt.id, "unavailable", "connection refused")
    again = cache.journal.reopen(attempt.id)
    assert (again.state, again.generation, again.body) == (AttemptState.INTENT, 0, attempt.body)


def test_reopening_is_refused_when_another_build_came_in_between(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.journal.fail(attempt.id, "unavailable", "")
    other = begun(cache, 1)
    with pytest.raises(CacheError, match="another build"):
        cache.journal.reopen(attempt.id)
    assert cache.journal.live() == [other]


def test_retrying_a_doubt_names_it_and_gives_it_up_in_one_step(cache: Cache) -> None:
    doubtful = begun(cache, 1)
    cache.journal.doubt(doubtful.id, "silence", "no answer")
    retried = begun(cache, 1, names_attempt=doubtful.id)
    old = cache.journal.get(doubtful.id)
    assert old is not None
    assert (old.state, old.code, old.cost) == (AttemptState.DROPPED, "silence", {"usd": Decimal("0.03")})
    assert (retried.names_attempt, retried.generation) == (doubtful.id, 1)


def test_only_a_doubt_can_be_retried_by_its_name(cache: Cache) -> None:
    first = begun(cache, 1)
    assert begin(cache, 1, names_attempt=first.id) == Busy(first)


def test_a_doubt_is_claimed_with_its_task(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.journal.doubt(attempt.id, "silence", "")
    assert cache.journal.ticket(attempt.id, ticket(1)).state is AttemptState.TICKET
    assert cache.journal.claimed_tasks("acc") == {"task-1"}
    assert cache.journal.claimed_tasks("other") == set()


def test_questions_about_many_keys_take_one_query(cache: Cache) -> None:
    refused, stored, retried = begun(cache, 1), begun(cache, 2), begun(cache, 3)
    cache.journal.refuse(refused.id, "DataInspectionFailed", "no")
    cache.journal.ticket(stored.id, ticket(2))
    cache.journal.stored(stored.id, DIGEST)
    cache.journal.refuse(retried.id, "DataInspectionFailed", "no")
    open_again = begun(cache, 3)
    many = [key(number) for number in range(2000)]
    for keys in (many, many[:10]):
        assert cache.journal.refused(keys).keys() == {key(1)}
        assert {name: len(found) for name, found in cache.journal.by_key(keys).items()} == {key(1): 1, key(2): 1, key(3): 2}
    assert cache.journal.live(keys=[key(1), key(3)]) == [open_again]
    assert cache.journal.live(project="/other.lock") == []
    assert cache.journal.live(project="/p/qwenbuild.lock") == [open_again]
    assert len(list(cache.journal.attempts())) == 4
    assert cache.journal.stored_entries("/p/qwenbuild.lock") == {"e2"}
    assert cache.journal.stored_entries("/q/qwenbuild.lock") == set()
    assert cache.journal.by_key([]) == {}


def test_an_attempt_is_found_by_the_beginning_of_its_id(cache: Cache) -> None:
    attempt = begun(cache, 1)
    assert cache.journal.get(attempt.id[:6].upper()) == attempt
    assert cache.journal.get("x") is None
    assert cache.journal.get("") is None
    letters = [attempt.id[0]] + [begun(cache, number).id[0] for number in range(2, 20)]
    twice = next(letter for letter in letters if letters.count(letter) > 1)
    with pytest.raises(CacheError, match="several"):
        cache.journal.get(twice)


def test_an_unknown_attempt_is_named(cache: Cache) -> None:
    with pytest.raises(CacheError, match="no attempt"):
        cache.journal.drop("f" * 32)


def test_what_costs_and_what_does_not(cache: Cache) -> None:
    assert set(COSTS) == set(AttemptState) - {AttemptState.FAILED, AttemptState.REFUSED}
    attempt = begun(cache, 1)
    assert cache.journal.fail(attempt.id, "BadPicture", "", billed={"usd": Decimal("0.02")}).cost == {"usd": Decimal("0.02")}
    assert cache.journal.refuse(begun(cache, 2).id, "x", "").cost == {}
    came = begun(cache, 3)
    assert cache.journal.refuse(came.id, "bad-picture", "", "ab" * 32).cost == came.price != {}


# ------------------------------------------------ legal edges

MOVES = {
    AttemptState.TICKET: lambda journal, name: journal.ticket(name, ticket(1)),
    AttemptState.READY: lambda journal, name: journal.ready(name, "https://cdn.test/x"),
    AttemptState.STORED: lambda journal, name: journal.stored(name, DIGEST),
    AttemptState.FAILED: lambda journal, name: journal.fail(name, "c", "m"),
    AttemptState.REFUSED: lambda journal, name: journal.refuse(name, "c", "m"),
    AttemptState.DOUBT: lambda journal, name: journal.doubt(name, "c", "m"),
    AttemptState.DROPPED: lambda journal, name: journal.drop(name),
    AttemptState.INTENT: lambda journal, name: journal.reopen(name),
}


@settings(max_examples=60, deadline=None)
@given(moves=st.lists(st.sampled_from(sorted(AttemptState)), max_size=8))
def test_only_legal_edges_are_taken_whatever_is_asked(
    tmp_path_factory: pytest.TempPathFactory, moves: list[AttemptState]
) -> None:
    with Cache.open(tmp_path_factory.mktemp("edges") / "vault") as cache:
        attempt = begun(cache, 1)
        for move in moves:
            now = cache.journal.get(attempt.id).state  # type: ignore[union-attr]
            try:
                MOVES[move](cache.journal, attempt.id)
                moved = True
            except CacheError:
                moved = False
            then = cache.journal.get(attempt.id).state  # type: ignore[union-attr]
            twice = (now, move) == (AttemptState.STORED, AttemptState.STORED)
            assert then == (move if move in EDGES[now] else now)
            assert moved == (move in EDGES[now] or twice)
        cache.journal.check()


def test_the_table_of_edges_is_complete() -> None:
    assert EDGES.keys() == set(AttemptState)
    assert [state for state in AttemptState if not EDGES[state]] == [
        AttemptState.STORED,
        AttemptState.REFUSED,
        AttemptState.DROPPED,
    ]
    with pytest.raises(CacheError):
        follow(AttemptState.STORED, AttemptState.INTENT)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attempts SET state = 'intent'",
        "UPDATE attempts SET state = 'nonsense'",
        "DELETE FROM attempts",
        "UPDATE attempts SET key = printf('%064d', 1)",
        "UPDATE attempts SET generation = 7",
        "INSERT INTO attempts SELECT printf('%032d', 1), key, 9, 'stored' FROM attempts",
    ],
)
def test_the_database_itself_refuses_what_the_program_would_not_do(cache: Cache, statement: str) -> None:
    attempt = begun(cache, 1)
    cache.journal.ticket(attempt.id, ticket(1))
    cache.journal.stored(attempt.id, DIGEST)
    cache.close()
    with pytest.raises(sqlite3.Error):
        rows(cache, statement)


def test_the_database_itself_refuses_a_second_live_attempt(cache: Cache) -> None:
    begun(cache, 1)
    columns = [name for _, name, *_ in rows(cache, "PRAGMA table_info(attempts)")]
    values = ", ".join({"id": "printf('%032d', 1)", "generation": "1"}.get(str(name), str(name)) for name in columns)
    with pytest.raises(sqlite3.IntegrityError):
        rows(cache, f"INSERT INTO attempts SELECT {values} FROM attempts")


# ------------------------------------------------ several processes

RACE = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from typing import Any
from cachelab import begin
from qwenbuild.cache import Cache
from qwenbuild.cache.attempts import Busy
cache = Cache.open(Path(sys.argv[1]))
build = cache.start_build()
sys.stdin.readline()
won = [n for n in range(25) if not isinstance(begin(cache, n, build.id), Busy)]
print(*won)
"""


def test_processes_that_begin_the_same_keys_win_each_key_once(cache: Cache) -> None:
    script = RACE.format(here=str(Path(__file__).parent))
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(cache.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(word) for racer in racers for word in racer.communicate(timeout=60)[0].split()]
    assert sorted(won) == list(range(25))
    assert all(racer.returncode == 0 for racer in racers)


def test_a_fork_opens_the_journal_for_itself(cache: Cache) -> None:
    import os

    attempt = begun(cache, 1)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if cache.journal.get(attempt.id) == attempt else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.journal.get(attempt.id) == attempt


# ------------------------------------------------ trust


def test_a_newer_journal_is_not_touched(cache: Cache) -> None:
    begun(cache, 1)
    cache.close()
    rows(cache, f"PRAGMA user_version = {USER_VERSION + 1}")
    with Cache.open(cache.root) as later:
        for question in (lambda: begin(later, 2), later.journal.live, later.write_probe, lambda: rebuild.rebuild(later)):
            with pytest.raises(CacheError, match="newer qwenbuild"):
                question()


def test_a_journal_that_vanished_is_a_loss_and_not_a_beginning(cache: Cache) -> None:
    begun(cache, 1)
    cache.close()
    (cache.root / "journal.db").unlink()
    with Cache.open(cache.root) as later:
        for question in (lambda: begin(later, 1), later.journal.live):
            with pytest.raises(CacheError, match="gone"):
                question()
        assert rebuild.rebuild(later).journal == "ok"
        assert begun(later, 1).generation == 0


def test_a_journal_replaced_under_a_running_build_stops_it(cache: Cache) -> None:
    begun(cache, 1)
    path = cache.root / "journal.db"
    data = path.read_bytes()
    path.rename(path.with_name("away"))
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(CacheError, match="removed or replaced"):
            begin(cache, 2)


def test_a_crash_while_the_journal_is_made_leaves_one_that_can_be_made(cache: Cache) -> None:
    cache.put_blob(b"x")
    (cache.root / "journal.db").touch()
    assert cache.journal.live() == []
    assert begun(cache, 1).generation == 0


@pytest.mark.parametrize("column", ["key", "account", "task_id", "ticket", "price", "sent", "body_sha256"])
def test_a_row_changed_behind_our_back_stops_spending(cache: Cache, column: str) -> None:
    attempt = begun(cache, 1)
    cache.journal.ticket(attempt.id, ticket(1))
    cache.close()
    connection = sqlite3.connect(cache.root / "journal.db")
    connection.execute("DROP TRIGGER same_attempt")
    value = {"key": key(9), "sent": 1.0}.get(column, "{}")
    connection.execute(f"UPDATE attempts SET {column} = ?", (value,))
    connection.commit()
    connection.close()
    with Cache.open(cache.root) as later:
        for question in (later.journal.live, lambda: begin(later, 2)):
            with pytest.raises(CacheError, match="altered"):
                question()


def test_a_body_changed_behind_our_back_is_never_resent(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.close()
    connection = sqlite3.connect(cache.root / "journal.db")
    connection.execute("UPDATE bodies SET body = 'other'")
    connection.commit()
    connection.close()
    with Cache.open(cache.root) as later, pytest.raises(CacheError, match="altered"):
        later.journal.get(attempt.id)


def test_a_writer_that_holds_the_journal_too_long_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(cache, 1)
    cache.close()
    monkeypatch.setattr("qwenbuild.cache.schema.BUSY_S", 0.05)
    holder = sqlite3.connect(cache.root / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(CacheError, match="locked"):
            begin(cache, 2)
    finally:
        holder.close()


def test_an_intent_whose_body_is_gone_is_never_resent(cache: Cache) -> None:
    begun(cache, 1)
    cache.close()
    connection = sqlite3.connect(cache.root / "journal.db")
    connection.execute("DELETE FROM bodies")
    connection.commit()
    connection.close()
    with Cache.open(cache.root) as later, pytest.raises(CacheError, match="body"):
        later.journal.live()


def test_an_older_failure_is_not_reopened_after_a_newer_attempt(cache: Cache) -> None:
    old = begun(cache, 1)
    cache.journal.fail(old.id, "unavailable", "")
    cache.journal.fail(begun(cache, 1).id, "unavailable", "")
    with pytest.raises(CacheError, match="later one"):
        cache.journal.reopen(old.id)


def test_every_field_of_an_intent_is_kept_as_it_was_given(root: Path) -> None:
    fields: dict[str, Any] = {
        "build": "b1",
        "project": "/p/qwenbuild.lock",
        "entry": "e",
        "key": key(1),
        "provider": "studio",
        "family": "dashscope",
        "account": "acc",
        "base_url": "https://example.test",
        "model": "m",
        "action": {"prompt": "a fox 狐", "seed": 1},
        "price": {"usd": Decimal("0.03")},
        "names_attempt": "a" * 32,
    }
    with Cache.open(root, clock=lambda: 77.5) as cache:
        attempt = cache.journal.begin(Intent(**fields, body=b"body", reserved={"usd": Decimal("0.05")}))
        assert isinstance(attempt, Attempt)
    with Cache.open(root) as later:
        (kept,) = later.journal.attempts()
    assert kept == attempt
    assert {name: getattr(kept, name) for name in fields} == fields
    assert (kept.reserved, kept.body, kept.generation) == ({"usd": Decimal("0.05")}, b"body", 0)
    assert (kept.sent, kept.updated, kept.ticket, kept.billed) == (77.5, 77.5, None, None)
    assert (kept.url, kept.digest, kept.code, kept.message) == ("", "", "", "")


def test_what_is_not_reserved_apart_is_the_price_and_an_unknown_price_reserves_nothing(cache: Cache) -> None:
    assert begun(cache, 1).reserved == {"usd": Decimal("0.03")}
    assert begun(cache, 2, price=None).reserved == {}


def test_a_ticket_clears_what_an_earlier_trouble_said(cache: Cache) -> None:
    attempt = begun(cache, 1)
    cache.journal.doubt(attempt.id, "no-answer", "nobody knows")
    taken = cache.journal.ticket(attempt.id, ticket(1))
    assert (taken.code, taken.message, taken.url) == ("", "", ticket(1).url)
    cache.journal.ready(attempt.id, "https://cdn.test/ready.png")
    done = cache.journal.stored(attempt.id, "d" * 64)
    assert (done.code, done.message, done.url, done.digest) == ("", "", "", "d" * 64)


def test_doubts_and_what_was_given_up_are_told_by_name(cache: Cache) -> None:
    assert cache.journal.doubts() == []
    assert cache.journal.given_up() == set()
    attempts = [begun(cache, number) for number in (1, 2, 3)]
    for attempt in attempts[:2]:
        cache.journal.doubt(attempt.id, "no-answer", "nobody knows")
    assert [doubt.id for doubt in cache.journal.doubts()] == [attempt.id for attempt in attempts[:2]]
    cache.journal.drop(attempts[0].id)
    assert cache.journal.given_up() == {key(1)}
    assert [doubt.id for doubt in cache.journal.doubts()] == [attempts[1].id]


def test_questions_of_a_journal_that_is_not_there_are_answered_with_nothing(cache: Cache) -> None:
    journal = cache.journal
    assert (journal.doubts(), journal.given_up()) == ([], set())
    assert (journal.stored_entries("p"), journal.claimed_tasks("acc")) == (set(), set())
    assert (journal.stored_digests([key(1)]), journal.by_key([key(1)]), journal.live(), journal.get("a")) == ({}, {}, [], None)
    assert journal.spent("b") == {}


def test_only_what_was_stored_counts_as_stored_by_key_and_by_project(cache: Cache) -> None:
    for number in (1, 2, 3):
        attempt = begun(cache, number, project=f"/p{number}/qwenbuild.lock", account=f"acc{number}")
        cache.journal.ticket(attempt.id, ticket(number))
        if number < 3:
            cache.journal.stored(attempt.id, str(number) * 64)
    many = [key(number) for number in range(QUERY_KEYS_MAX + 2)]
    for asked in ([key(1), key(3)], [k for k in many if k != key(2)]):
        assert cache.journal.stored_digests(asked) == {key(1): {"1" * 64}}
    assert cache.journal.stored_digests([]) == {}
    assert cache.journal.stored_entries("/p1/qwenbuild.lock") == {"e1"}
    assert cache.journal.stored_entries("/p3/qwenbuild.lock") == set()
    assert cache.journal.claimed_tasks("acc1") == {"task-1"}
    assert [attempt.entry for attempt in cache.journal.attempts("/p2/qwenbuild.lock")] == ["e2"]
    assert [attempt.entry for attempt in cache.journal.live(project="/p3/qwenbuild.lock")] == ["e3"]
    assert cache.journal.live(project="/p1/qwenbuild.lock") == []


def test_a_build_takes_over_another_projects_attempt_without_its_cost(cache: Cache) -> None:
    with cache.start_build() as mine:
        cache.journal.open_budget(mine.id, {"usd": Decimal("0.05")}, "/mine/qwenbuild.lock")
        strange, own = begun(cache, 1, project="/other/qwenbuild.lock"), begun(cache, 2, project="/mine/qwenbuild.lock")
        assert cache.journal.takeover(strange.id, mine.id, "/mine/qwenbuild.lock")
        assert cache.journal.spent(mine.id) == {}
        assert cache.journal.takeover(own.id, mine.id, "/mine/qwenbuild.lock")
        assert cache.journal.spent(mine.id) == {"usd": Decimal("0.03")}
        assert cache.journal.is_alive(mine.id)
    assert not cache.journal.is_alive(mine.id)


def test_attempts_are_told_oldest_first_by_when_they_were_sent_and_not_by_when_they_were_written(root: Path) -> None:
    moments = iter([50.0, 20.0, 30.0])
    now = [0.0]
    with Cache.open(root, clock=lambda: now[0]) as cache:
        for number in (1, 2, 3):
            now[0] = next(moments)
            begun(cache, number)
        now[0] = 99.0
        oldest_first = ["e2", "e3", "e1"]
        asked: tuple[list[str] | None, ...] = (
            None,
            [key(1), key(2), key(3)],
            [key(number) for number in range(QUERY_KEYS_MAX + 1)],
        )
        for keys in asked:
            assert [attempt.entry for attempt in cache.journal.live(keys)] == oldest_first
        assert [attempt.entry for attempt in cache.journal.attempts()] == oldest_first
        for attempt in cache.journal.live():
            assert cache.journal.doubt(attempt.id, "no-answer", "nobody knows").updated == 99.0
        assert [attempt.entry for attempt in cache.journal.doubts()] == oldest_first


def test_the_generations_of_a_key_are_told_in_their_order_however_many_keys_are_asked(cache: Cache) -> None:
    for _ in range(3):
        cache.journal.fail(begun(cache, 1).id, "failed", "not charged")
    for keys in ([key(1)], [key(number) for number in range(QUERY_KEYS_MAX + 1)]):
        assert [attempt.generation for attempt in cache.journal.by_key(keys)[key(1)]] == [0, 1, 2]


def test_the_look_whether_the_journal_can_be_written_frees_nothing_that_is_reserved(cache: Cache) -> None:
    with cache.start_build() as mine:
        cache.journal.open_budget(mine.id, {"usd": Decimal("0.05")}, "/p/qwenbuild.lock")
        assert cache.journal.reserve(mine.id, {"usd": Decimal("0.05")})
        cache.journal.check_writable()
        assert not cache.journal.reserve(mine.id, {"usd": Decimal("0.01")})
