"""One build on several machines: each buys its part, all of it is bought once, and the lockfile is that of one build."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.errors import GateStop
from qwenbuild.model import Action, Candidate, Entry, InputRef, Keyed, LockEntry
from qwenbuild.plan.shards import Shard, split, total_cost
from tests.remote.teams import Call, Machine, Team

COUNT = 4
MANIFEST = """\
version: 1
trust: keys
defaults: {params: {size: "32*32"}}
assets:
  coins: {prompt: "coin {{ n }}", matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, output: "{{ n }}.png"}
  same: {prompt: "coin {{ n }}", matrix: {n: [1, 2, 3]}, output: "same-{{ n }}.png"}
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    return Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, MANIFEST)


def one_build(team: Team) -> Machine:
    """What one machine makes of it, alone."""
    team.share("")
    alone = team.machine("alone")
    alone.build()
    team.share((team.place / "share").as_uri())
    return alone


def test_four_machines_buy_each_picture_once_and_a_fifth_writes_the_lockfile_of_one_build(team: Team, call: Call) -> None:
    alone, bought = one_build(team), []
    for number in range(1, COUNT + 1):
        machine = team.machine(f"worker{number}")
        assert machine.build(shard=(number, COUNT), push=True).exit_code == 0
        bought += machine.submitted
    assert sorted(bought) == sorted(alone.submitted)
    assert len(bought) == 10
    last = team.machine("last")
    code, out, _ = call(last, "cache", "pull")
    assert code == 0
    assert out.startswith(f"10 pictures of 10 fetched from {team.url} (")
    assert last.build(offline=True).counts == {"restored": 13}
    assert last.submitted == []
    assert last.lock.read_bytes() == alone.lock.read_bytes()
    assert last.tree() == alone.tree()


def test_a_worker_that_runs_again_elsewhere_buys_nothing_that_it_had_shared(team: Team) -> None:
    first = team.machine("first")
    first.build(shard=(2, COUNT), push=True)
    again = team.machine("again")
    assert again.build(shard=(2, COUNT), push=True).exit_code == 0
    assert again.submitted == []
    assert again.tree() == first.tree()


def test_what_other_shards_have_made_moves_no_entry(team: Team) -> None:
    """Whoever starts late sees a fuller store, and has the same part all the same."""
    early = team.machine("early").plan(shard=(3, COUNT)).selected
    for number in (1, 2, 4):
        team.machine(f"worker{number}").build(shard=(number, COUNT), push=True)
    late = team.machine("late")
    assert late.plan(shard=(3, COUNT)).selected == early
    late.build(shard=(3, COUNT))
    assert len(late.submitted) == 10 - sum(len(machine.submitted) for machine in team.machines.values() if machine is not late)


def test_a_pull_that_cannot_tell_of_a_key_says_so_and_ends_with_1(team: Team, call: Call) -> None:
    team.machine("worker").build(push=True)
    share = team.place / "share"
    for receipt in (share / "receipts").rglob("*"):
        if receipt.is_file():
            receipt.write_bytes(b"<html>please log in</html>")
    last = team.machine("last")
    code, out, _ = call(last, "cache", "pull")
    assert code == 1
    assert out.startswith("failed   ")
    assert "receipts/" in out
    assert "0 pictures of 0 fetched" in out
    assert last.cache().known_blobs() == set()


def test_the_parts_are_told_as_a_table_and_as_json(team: Team, call: Call) -> None:
    machine = team.machine("ann")
    code, out, _ = call(machine, "plan", "--shards", "4", "--json")
    parts = json.loads(out)["shards"]
    assert code == 0
    assert [part["shard"] for part in parts] == ["1/4", "2/4", "3/4", "4/4"]
    assert sum(part["pictures"] for part in parts) == 10
    assert len({id for part in parts for id in part["entries"]}) == 13
    assert call(machine, "plan", "--shards", "2")[1].startswith("1/2  ")
    assert call(machine, "build", "--shard", "5/4")[0] == 2
    assert "is not a part such as 3/8" in call(machine, "build", "--shard", "first")[2]


# ---------------------------------------------------------------- cutting


def keyed(id: str, key: str, price: str = "0.1", inputs: tuple[InputRef, ...] = ()) -> Keyed:
    entry = Entry(id, "asset", "shop", None, id, {}, 0, (), inputs=inputs)
    return Keyed(entry, (Candidate(0, Action("shop", "model", id, "", 0), key),), {"usd": Decimal(price)}, 15.0, 2.0, 4)


def cut(count: int, *entries: Keyed, lock: dict[str, LockEntry] | None = None) -> tuple[Shard, ...]:
    return split(entries, lock or {}, count)


@settings(deadline=None)
@given(
    names=st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, max_size=30),
    keys=st.integers(1, 12),
    count=st.integers(1, 9),
)
def test_every_entry_is_in_one_shard_and_every_picture_is_bought_by_one(names: list[str], keys: int, count: int) -> None:
    entries = [keyed(name, f"key{number % keys}") for number, name in enumerate(names)]
    shards = cut(count, *entries)
    assert len(shards) == count
    assert sorted(id for shard in shards for id in shard.ids) == sorted(names)
    assert sum(shard.pictures for shard in shards) == len({entry.candidates[0].key for entry in entries})
    for shard in shards:
        others = {entry.candidates[0].key for entry in entries if entry.entry.id not in shard.ids}
        assert others.isdisjoint(entry.candidates[0].key for entry in entries if entry.entry.id in shard.ids)


def test_the_parts_cost_the_same_within_a_twentieth() -> None:
    """And take as long: each picture counts by both."""
    shards = cut(8, *(keyed(f"e{number}", f"k{number}", price="0.2" if number % 3 else "0.4") for number in range(1000)))
    costs = [shard.cost["usd"] for shard in shards]
    assert max(costs) <= min(costs) * Decimal("1.05")
    assert max(shard.seconds for shard in shards) <= min(shard.seconds for shard in shards) * 1.05
    assert total_cost(shards) == {"usd": sum(costs)}


def test_a_small_change_moves_few_entries_to_another_shard() -> None:
    entries = [keyed(f"e{number}", f"k{number}") for number in range(1000)]
    home = {id: shard.number for shard in cut(8, *entries) for id in shard.ids}
    changed = [*entries[:500], keyed("new", "new"), *entries[501:]]
    now = {id: shard.number for shard in cut(8, *changed) for id in shard.ids}
    assert sum(home[id] != number for id, number in now.items() if id in home) <= 8


def test_only_what_the_lockfile_does_not_name_weighs() -> None:
    """900 of 1,000 are made: the rest is spread evenly, not what is there."""
    entries = [keyed(f"e{number}", f"k{number}") for number in range(1000)]
    lock = {f"e{number}": LockEntry(f"k{number}", "0" * 64, {}) for number in range(900)}
    assert {shard.pictures for shard in cut(4, *entries, lock=lock)} == {25}
    assert [shard.pictures for shard in cut(4, *entries[:900], lock=lock)] == [0, 0, 0, 0]


def test_what_builds_on_another_entry_is_in_its_shard_and_bought_with_it() -> None:
    """Its key is known only when the other's picture is there."""
    chain = [keyed("a", "ka"), keyed("b", "", inputs=(InputRef(entry="a"),)), keyed("c", "", inputs=(InputRef(entry="b"),))]
    shards = cut(3, *chain, *(keyed(f"e{number}", f"k{number}") for number in range(6)))
    assert sum({"a", "b", "c"} <= shard.ids for shard in shards) == 1
    assert sum(shard.pictures for shard in shards) == 9
    made = {id: LockEntry(f"k{id}", "0" * 64, {}) for id in "abc"}
    assert [shard.pictures for shard in cut(1, *chain, lock=made)] == [0]
    assert [shard.pictures for shard in cut(1, *chain, lock={**made, "a": LockEntry("old", "0" * 64, {})})] == [3]


# ---------------------------------------------------------------- limits


def test_a_limit_is_split_and_the_whole_must_be_within_it(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.planning.planner.split", lambda keyed, lock, count: PARTS)
    team.text = MANIFEST.replace("trust: keys", "budget: {usd: 3}\ntrust: keys")
    machine = team.machine("ann")
    first = machine.plan(shard=(1, 2), max_cost={"usd": Decimal(8)})
    assert first.budget == {"usd": Decimal("0.75")}
    assert [note.message for note in first.notices if note.code == "shard"] == [
        "shard 1/2: 13 of 13 entries",
        "--max-cost of 8.00 USD is split by price over the shards: 2.00 USD here",
        "the manifest's budget of 3.00 USD is split by price over the shards: 0.75 USD here",
    ]
    with pytest.raises(GateStop, match=r"the 2 shards together cost 2.00 USD, more than --max-cost of 1.50 USD"):
        machine.build(shard=(1, 2), yes=True, max_cost={"usd": Decimal("1.5")})
    assert machine.submitted == []


ALL = frozenset([*(f"coins/{number}" for number in range(1, 11)), *(f"same/{number}" for number in range(1, 4))])
PARTS = (
    Shard(1, 2, ALL, 10, {"usd": Decimal("0.5")}),
    Shard(2, 2, frozenset(), 0, {"usd": Decimal("1.5")}),
)
