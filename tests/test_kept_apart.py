"""What stayed green under planted faults, each with the test that sees it: budgets, the model table, other people's files."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwenbuild.engine.publish import keep_aside
from qwenbuild.lock import lockfile
from qwenbuild.model import AtlasPlan, OutcomeKind, Plan, Verdict
from qwenbuild.planning import remote_pictures
from qwenbuild.ports import Event
from qwenbuild.remote.store import RemoteError
from qwenbuild.report.graph import graph_lines
from qwenbuild.report.plan_text import plan_lines
from qwenbuild.report.progress import Live
from qwenbuild.report.terminal import Terminal
from qwenbuild.run.submit import _reopened
from tests.test_plan import ACTION, FRESH, PICTURE, codes, keyed, plan, record, replace, result, step
from tests.walking import Project

ONE = 'version: 1\nassets:\n  lantern: {prompt: "a red lantern", output: "old.png"}\n'


@pytest.mark.parametrize("room", [True, False])
def test_a_request_that_is_sent_again_holds_its_price_again_or_is_not_sent(room: bool) -> None:
    done: list[str] = []
    journal = SimpleNamespace(reopen=lambda attempt: done.append("reopened"))
    budget = SimpleNamespace(
        reserve=lambda price: done.append("reserved") or room,
        give_back=lambda price: done.append("given back"),
    )
    world = SimpleNamespace(budget=budget, cache=SimpleNamespace(journal=journal))
    purchase = SimpleNamespace(price={"usd": 1}, key="k", entry="a")
    job: Any = SimpleNamespace(progress=SimpleNamespace(world=world), purchase=purchase)
    sending: Any = SimpleNamespace(attempt=SimpleNamespace(id="one"))
    outcome = _reopened(job, sending)
    if room:
        assert (outcome, done) == (None, ["reserved", "reopened", "given back"])
    else:
        assert outcome is not None
        assert (outcome.kind, outcome.code, done) == (OutcomeKind.SKIPPED, "budget", ["reserved"])


def test_an_entry_of_which_only_a_part_was_moved_by_the_table_is_changed() -> None:
    old = replace(ACTION, size="1472*1140", prompt="another lantern")
    wanted = keyed(action=replace(ACTION, size="1472*1104"), earlier={"size": ("1472*1140",)})
    made = step(replace(FRESH, lock={"a": record(old)}, results={}), None, wanted)
    assert (made.verdict, set(codes(made))) == (Verdict.GENERATE, {"changed"})


def test_a_receipt_whose_picture_nobody_can_be_sure_of_blocks_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RemoteError("the store answers 502")
    held = SimpleNamespace(sizes={}, unknown={PICTURE: error}, empty=False)
    monkeypatch.setattr(remote_pictures, "look", lambda remote, digests: held)
    asked = remote_pictures.RemotePictures(imported={"key": result(PICTURE, "key")})
    told = remote_pictures._told(SimpleNamespace(), asked, {PICTURE}, starting=False)  # type: ignore[arg-type]
    assert (told.imported, told.blocked) == ({}, {"key": error})


def test_an_orphan_keeps_its_own_digest_when_its_entry_gets_another_picture(walked: Project) -> None:
    walked.manifest(ONE)
    walked.build()
    (before,) = lockfile.read(walked.lock).entries.values()
    walked.manifest(ONE.replace("red", "blue").replace("old.png", "new.png"))
    walked.build()
    (after,) = lockfile.read(walked.lock).entries.values()
    assert after.outputs["old.png"].orphan
    assert after.outputs["old.png"].digest == before.digest != after.digest
    (orphan,) = walked.plan().plan.orphans
    assert (orphan.path, orphan.digest, orphan.removable) == ("old.png", before.digest, True)


def test_each_file_that_is_overwritten_is_kept_aside_on_its_own(walked: Project) -> None:
    walked.manifest(ONE)
    walked.build()
    for work in (b"a person's first evening", b"and the second one"):
        (walked.out / "old.png").write_bytes(work)
        assert walked.build(overwrite=True).exit_code == 0
    kept = sorted(path.read_bytes() for path in (walked.folder / ".qwenbuild" / "overwritten").iterdir())
    assert kept == [b"a person's first evening", b"and the second one"]


def test_what_is_kept_aside_is_named_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    places = {keep_aside(tmp_path, "a.png", tmp_path / "state", digest * 64) for digest in "12"}
    assert len(places) == 2


# ---------------------------------------------------------------- what is said


def test_a_build_names_the_first_ten_files_that_it_left_alone(walked: Project) -> None:
    numbers = ", ".join(f"n{at:02}" for at in range(13))
    walked.manifest(f'version: 1\nassets:\n  icons: {{prompt: "icon {{{{ n }}}}", matrix: {{n: [{numbers}]}}}}\n')
    walked.build()
    for path in walked.out.rglob("*.png"):
        path.write_bytes(b"a person's work")
    for _ in range(2):
        (notice,) = [problem for problem in walked.build().problems if problem.code == "modified"]
        assert notice.message.startswith("13 files were changed by hand and are left alone: icons/n00.png, icons/n01.png")
        assert notice.message.endswith("icons/n09.png and 3 more")


def test_only_the_first_build_is_the_first(walked: Project) -> None:
    walked.manifest(ONE)
    assert walked.build().first
    walked.edit("red", "blue")
    assert not walked.build().first


def test_verbose_lists_every_entry_also_when_all_is_fresh() -> None:
    made = plan(FRESH)
    assert list(plan_lines(made, Terminal())) == []
    assert any("fresh" in line and " a" in line for line in plan_lines(made, Terminal(verbose=1)))


@pytest.mark.parametrize("format", ["mermaid", "dot"])
def test_the_graph_shows_atlases_and_what_goes_into_them(format: str) -> None:
    made: Plan = replace(plan(FRESH), atlases=(AtlasPlan("ui", Verdict.DERIVE, (("a", "a.png"),)),))
    text = "\n".join(graph_lines(made, format))
    assert "atlas" in text
    assert "derive" in text
    assert text.count("-->" if format == "mermaid" else "->") == 1


def test_pictures_that_are_drawn_at_once_still_take_this_machine_its_time() -> None:
    wanted = [keyed(f"a{n}", replace(ACTION, seed=n), seconds=0, rps=0, in_flight=0) for n in range(200)]
    assert 10 < make_seconds(wanted) < 20


def make_seconds(wanted: Any) -> float:
    return plan(replace(FRESH, lock={}, files={}, results={}), None, *wanted).seconds


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_at_80_columns_the_time_since_the_start_is_whole_and_the_tail_is_cut() -> None:
    screen = Screen()
    now = itertools.chain([0.0], itertools.repeat(5000.0))
    live = Live(screen, Terminal(width=80, person=True), clock=lambda: next(now))
    counts = {"generate": 98_765, "cost": {"usd": "2962.95"}, "unknown_price": 0, "seconds": 9000}
    live.event(Event("plan", "", {"summary": counts}))
    for number in range(40):
        live.event(Event("submitted", f"n{number}", {}))
        live.event(Event("stored", f"n{number}", {"price": {"usd": "1234.56"}}))
        live.event(Event("failed", f"n{number}", {"message": "no"}))
        live.event(Event("submitted", f"k{number}", {}))
    live._progress.refresh()
    live.close()
    last = [line for line in screen.getvalue().replace("\r", "\n").splitlines() if "left" in line][-1]
    assert re.search(r" 40/98765 \d:\d\d:\d\d .*…$", last)
    assert len(re.sub(r"\x1b\[[0-9]*K", "", last)) <= 80
