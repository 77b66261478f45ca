"""Candidates that cost money: the exact list of what is bought, at which seed and price, and what a stop leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.emulator import Served
from qwenbuild.errors import GateStop
from qwenbuild.verbs import adopt, choices
from tests.walking import Project

LANTERNS = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}, model: qwen-image-plus}
assets:
  lanterns: {prompt: "a {{ color }} lantern", matrix: {color: [red, blue]}, seed: 5, variants: 3}
"""
RED, BLUE = "lanterns/red", "lanterns/blue"


@pytest.fixture
def lanterns(walked: Project, emulated: Served) -> Project:
    walked.manifest(LANTERNS)
    return walked


def bought(emulated: Served) -> list[tuple[str, int]]:
    return sorted((job["prompt"], job["seed"]) for job in emulated.ledger())


def both(*seeds: int) -> list[tuple[str, int]]:
    return sorted((f"a {color} lantern", seed) for color in ("red", "blue") for seed in seeds)


def test_each_candidate_is_bought_once_at_its_seed_and_carries_its_price(lanterns: Project, emulated: Served) -> None:
    planned = lanterns.plan().plan
    assert planned.cost == {"usd": Decimal("0.18")}
    assert [[plan.price for plan in step.candidates] for step in planned.steps] == [[{"usd": Decimal("0.03")}] * 3] * 2
    summary = lanterns.build()
    assert (summary.exit_code, summary.spent) == (0, {"usd": Decimal("0.18")})
    assert bought(emulated) == both(5, 6, 7)
    lanterns.build()
    assert bought(emulated) == both(5, 6, 7)


def test_raising_the_number_buys_the_new_seeds_and_no_other(lanterns: Project, emulated: Served) -> None:
    lanterns.edit("variants: 3", "variants: 1")
    lanterns.build()
    assert bought(emulated) == both(5)
    lanterns.edit("variants: 1", "variants: 3")
    assert lanterns.plan().plan.cost == {"usd": Decimal("0.12")}
    lanterns.build()
    lanterns.edit("variants: 3", "variants: 2")
    lanterns.build()
    lanterns.edit("variants: 2", "variants: 3")
    lanterns.build()
    assert bought(emulated) == both(5, 6, 7)


def test_no_choice_sends_anything(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    choices.pick(lanterns.options(), RED, 2)
    choices.reject(lanterns.options(), (BLUE,), (1,))
    lanterns.build()
    choices.approve(lanterns.options(), ())
    lanterns.edit('lantern", matrix', 'lamp", matrix')
    lanterns.build()
    choices.release(lanterns.options(), ())
    adopt.accept(lanterns.options(), (RED, BLUE))
    lanterns.build()
    assert bought(emulated) == both(5, 6, 7)


def test_a_released_entry_is_bought_once(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    choices.approve(lanterns.options(), ())
    lanterns.edit('lantern", matrix', 'lamp", matrix')
    assert lanterns.plan().plan.cost == {}
    lanterns.build()
    assert bought(emulated) == both(5, 6, 7)
    choices.release(lanterns.options(), (RED,))
    for _ in range(2):
        lanterns.build()
    lamps = [("a red lamp", seed) for seed in (5, 6, 7)]
    assert bought(emulated) == sorted([*both(5, 6, 7), *lamps])


def test_an_added_candidate_needs_consent_like_anything_paid(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    told = choices.reroll(lanterns.options(), RED)
    assert told.price == {"usd": Decimal("0.03")}
    with pytest.raises(GateStop):
        lanterns.build(yes=False)
    assert bought(emulated) == both(5, 6, 7)
    lanterns.build()
    (new,) = set(bought(emulated)) - set(both(5, 6, 7))
    assert new[0] == "a red lantern"
    assert lanterns.build().counts == {"fresh": 2, "modified": 0}


def test_a_refused_candidate_leaves_the_others_and_the_file(lanterns: Project, emulated: Served) -> None:
    lanterns.edit("variants: 3", "variants: 1")
    lanterns.build()
    emulated.configure(refuse_words=["red"])
    lanterns.edit("variants: 1", "variants: 2")
    assert lanterns.build().exit_code == 1
    assert sorted(lanterns.tree()) == ["lanterns/blue.png", "lanterns/red.png"]
    sent = len(emulated.prompts())
    choices.reject(lanterns.options(), (RED,), (2,))
    assert (lanterns.build().exit_code, len(emulated.prompts())) == (0, sent)


def test_a_limit_counts_pictures_and_the_rest_follows(lanterns: Project, emulated: Served) -> None:
    assert lanterns.build(limit=2).exit_code == 3
    assert len(bought(emulated)) == 2
    assert lanterns.build().exit_code == 0
    assert bought(emulated) == both(5, 6, 7)
    assert sorted(lanterns.tree()) == ["lanterns/blue.png", "lanterns/red.png"]


def test_a_pick_of_a_colleague_is_restored_by_a_locked_build(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    choices.pick(lanterns.options(), RED, 3)
    lanterns.lose("outputs", "state")
    summary = lanterns.build(locked=True, offline=True, yes=False)
    assert summary.exit_code == 0
    record = json.loads(lanterns.lock.read_bytes())["entries"][RED]
    assert lanterns.tree()["lanterns/red.png"] == record["digest"]
    assert bought(emulated) == both(5, 6, 7)


# ---------------------------------------------------------------- the command line


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(walked: Project, capsys: pytest.CaptureFixture[str]) -> Said:
    walked.manifest(LANTERNS.replace("provider: dashscope\nproviders:", "x-providers:").replace(", model: qwen-image-plus", ""))

    def said(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(args))
        ended = capsys.readouterr()
        return code, ended.out, ended.err

    return said


def test_the_verbs_say_what_they_did(walked: Project, say: Said) -> None:
    walked.manifest(walked.folder.joinpath("qwenbuild.yaml").read_text().replace('"1:1"', '"64*64"'))
    walked.build()
    assert say("pick", RED, "2")[1].startswith(f"{RED}: candidate 2 is picked (seed 6, ")
    assert say("approve", "lanterns/*")[1].endswith("2 entries approved.\n")
    assert say("reject", RED, "1") == (
        2,
        "",
        f"error: {RED} is approved\n  hint: `qwenbuild release {RED}` comes first\n",
    )
    assert say("release", RED) == (0, f"{RED}: released\n", "")
    assert say("reject", RED, "1", "3")[1] == f"{RED}: rejected\n"
    assert say("reject", "--undo", RED)[1] == f"{RED}: no longer rejected\n"
    assert say("unpick", RED)[1] == f"{RED}: no longer picked\n"
    assert "candidate 4 is added (seed " in say("reroll", RED)[1]
    assert say("pick", "lanterns/rde", "1")[2] == "error: 'lanterns/rde' matches nothing\n  hint: did you mean lanterns/red?\n"
    assert say("pick", RED, "0")[0] == 2
    assert say("-q", "approve")[1] == "1 entry approved.\n"


def test_status_counts_choices_and_checks_as_before(walked: Project, say: Said) -> None:
    walked.build()
    code, told, _ = say("status", "--check")
    assert code == 0
    assert told.endswith("Up to date: 2 entries (2 unpicked).\n")
    say("approve", RED)
    assert say("status", "--check")[1].endswith("Up to date: 2 entries (1 approved, 1 unpicked).\n")
    walked.edit('lantern", matrix', 'lamp", matrix')
    code, told, _ = say("status", "--check")
    assert code == 3
    assert "  held      lanterns/red   approved, keeps its picture (prompt: lantern → lamp)\n" in told
    assert told.endswith("Not up to date: 1 to generate, 1 held, 1 fresh.\nChoices: 1 approved, 1 held.\n")


def test_plan_json_has_each_candidate_with_key_seed_verdict_and_price(walked: Project, say: Said) -> None:
    say("plan")
    found: dict[str, Any] = json.loads(say("plan", "--json", RED)[1])["entries"][0]
    assert [(c["seed"], c["verdict"], c["price"]) for c in found["candidates"]] == [
        (seed, "generate", {}) for seed in (5, 6, 7)
    ]
    assert found["key"] == found["candidates"][0]["key"]
    assert len({candidate["key"] for candidate in found["candidates"]}) == 3


def test_accept_and_import_show_first_and_a_no_changes_nothing(
    walked: Project, say: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from qwenbuild.cli import show

    walked.build()
    before = walked.lock.read_bytes()
    walked.edit('lantern", matrix', 'lamp", matrix')
    picture = str(walked.out / "lanterns/blue.png")
    monkeypatch.setattr(show, "may_ask", lambda *, as_json: True)
    for verb in (("accept", RED), ("import", picture, RED)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        code, told, asked = say(*verb)
        assert code == 4
        assert RED in told
        assert asked.endswith("[y/N] ")
        assert say(*verb, "-n")[0] == 0
    assert walked.lock.read_bytes() == before
    code, told, _ = say("accept", "--yes", RED)
    assert code == 0
    assert "    prompt: lantern → lamp\n1 entry accepted.\n" in told
    assert walked.lock.read_bytes() != before


def test_without_a_terminal_accepting_needs_no_word_because_nothing_is_paid(walked: Project, say: Said) -> None:
    walked.build()
    walked.edit('lantern", matrix', 'lamp", matrix')
    command = [sys.executable, "-m", "qwenbuild", "accept", "lanterns/*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("2 entries accepted.\n")
    assert set(walked.verdicts().values()) == {"fresh"}
