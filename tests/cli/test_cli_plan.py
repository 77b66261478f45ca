"""What `plan` and `status` print, for people and for machines; knows plans as values only."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from fakewalk import KEY, Ended, Walk, make_plan, make_step

from qwenbuild.errors import GateStop, InputError, Mark, Problem
from qwenbuild.model import Orphan, Reason

Call = Callable[..., Ended]
CHANGED = Reason("changed", "prompt", "A small bottle of azure potion, inked", "A small bottle of crimson potion, inked")
OLD = Orphan("potions/old", "icons/old.png", "", True, True)


def test_plan_json_is_the_interface_to_the_letter(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("potions/red-small", "generate", CHANGED, prompt="…", file="icons/red-small.png"))
    ended = call("plan", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "v": 1,
        "entries": [
            {
                "id": "potions/red-small",
                "asset": "potions",
                "verdict": "generate",
                "held": False,
                "reasons": [{"code": "changed", "field": "prompt", "old": CHANGED.old, "new": CHANGED.new}],
                "key": KEY,
                "provider": "dashscope",
                "model": "qwen-image-plus",
                "prompt": "…",
                "price": {"usd": "0.03"},
                "candidates": [{"key": KEY, "seed": 11, "verdict": "generate", "price": {"usd": "0.03"}}],
                "outputs": [{"path": "icons/red-small.png", "verdict": "restore"}],
            }
        ],
        "summary": {
            "fresh": 0,
            "restore": 0,
            "resume": 0,
            "recover": 0,
            "doubt": 0,
            "refused": 0,
            "generate": 1,
            "derive": 0,
            "modified": 0,
            "held": 0,
            "orphan": 0,
            "cost": {"usd": "0.03"},
            "unknown_price": 0,
            "seconds": 15,
        },
    }


def test_plan_json_of_nothing_is_valid(call: Call, walk: Walk) -> None:
    said = json.loads(call("plan", "--json").out)
    assert said["entries"] == []
    assert said["summary"]["cost"] == {}


def test_an_unknown_price_is_null_and_a_free_one_is_empty(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "generate", price=None), make_step("a/y", "fresh"))
    entries = json.loads(call("plan", "--json").out)["entries"]
    assert [entry["price"] for entry in entries] == [None, {}]


def test_json_is_ascii_so_that_no_character_acts_on_a_terminal(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("药水/红", "generate", prompt="\x1b]0;x\x07\u202e"))
    ended = call("plan", "--json")
    assert ended.out.isascii()
    assert json.loads(ended.out)["entries"][0]["id"] == "药水/红"


def test_build_n_is_the_plan(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "generate"))
    assert call("build", "-n", "--json").out == call("plan", "--json").out
    assert [what for what, *_ in walk.asked] == ["plan", "plan"]


@pytest.mark.parametrize("command", ["plan", "status"])
def test_check_exits_3_when_something_is_to_do(call: Call, walk: Walk, command: str) -> None:
    walk.plan = make_plan(make_step("a/x", "restore"))
    assert call(command).code == 0
    assert call(command, "--check").code == 3


@pytest.mark.parametrize("verdict", ["generate", "doubt", "refused", "recover", "resume", "restore", "derive", "modified"])
def test_check_counts_every_verdict_but_fresh(call: Call, walk: Walk, verdict: str) -> None:
    walk.plan = make_plan(make_step("a/x", verdict), make_step("a/y"))
    assert call("plan", "--check").code == 3


def test_check_lets_held_pass_and_orphans_not(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "fresh", Reason("held", "seed", 1, 2), held=True))
    assert call("status", "--check").code == 0
    walk.plan = make_plan(make_step("a/x"), orphans=[OLD])
    assert call("status", "--check").code == 3


def test_a_small_plan_says_why_and_what_it_costs(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(
        make_step("potions/red", "generate", CHANGED), make_step("potions/blue", "restore"), make_step("potions/x")
    )
    assert call("plan").out.splitlines() == [
        "potions",
        "  generate  potions/red   prompt: azure → crimson                          $0.03",
        "  restore   potions/blue  potions/blue.png",
        "",
        "Plan: 1 to generate, 1 to restore, 1 fresh.",
        "Cost: $0.03, about 15 s at the provider's rate.",
    ]


def test_a_big_plan_is_grouped_by_asset_and_reason(call: Call, walk: Walk) -> None:
    swords = [make_step(f"items/sword-{number:04}", "generate", CHANGED) for number in range(2000)]
    shields = [
        make_step(f"items/shield-{number:04}", "restore", Reason("file", "a.png", None, "missing")) for number in range(900)
    ]
    fresh = [make_step(f"tiles/{number}") for number in range(100)]
    walk.plan = make_plan(*swords, *shields, *fresh, seconds=1000)
    assert call("plan").out.splitlines() == [
        "items  2,900 entries",
        "  generate    2,000  prompt: azure → crimson                              $60.00",
        "                     items/sword-0000, items/sword-0001, … 1,998 more",
        "  restore       900  files: missing",
        "                     items/shield-0000, items/shield-0001, … 898 more",
        "",
        "Plan: 2,000 to generate, 900 to restore, 100 fresh.",
        "Cost: $60.00, about 17 min at the provider's rate.",
    ]


def test_reasons_that_all_differ_are_one_group(call: Call, walk: Walk) -> None:
    steps = [make_step(f"t/{n}", "generate", Reason("changed", "prompt", f"tile {n}", f"tile {n + 1000}")) for n in range(60)]
    walk.plan = make_plan(*steps)
    assert "  generate       60  prompt: all different" in call("plan").out


def test_v_lists_every_entry(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(*(make_step(f"items/{number}", "generate", CHANGED) for number in range(300)))
    assert sum(line.startswith("  generate  items/") for line in call("plan", "-v").out.splitlines()) == 300


def test_q_leaves_the_summary(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "restore"))
    ended = call("-q", "plan")
    assert ended.out == "Plan: 1 to restore.\nCost: nothing.\n"
    assert ended.err == ""


def test_no_line_of_a_plan_is_wider_than_the_terminal(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwenbuild.report.terminal import cells

    monkeypatch.setenv("COLUMNS", "60")
    long = Reason("changed", "prompt", "一只猫 " * 30 + "sits", "一只狗 " * 30 + "sits")
    refused = make_step("b/y", "refused", Reason("refused", "", None, "DataInspectionFailed: inappropriate content " * 3))
    for number in (3, 300):
        walk.plan = make_plan(*(make_step(f"角色/骑士-{index}", "generate", long) for index in range(number)), refused)
        assert [line for line in call("plan").out.splitlines() if cells(line) > 60] == []


def test_foreign_text_cannot_act_on_the_terminal(call: Call, walk: Walk) -> None:
    evil = "\x1b]0;owned\x07\u202eevil"
    walk.plan = make_plan(make_step(f"a/{evil}", "generate", Reason("changed", "prompt", "x", evil)))
    out = call("plan").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b]0;owned" in out


def test_nothing_to_do_is_said_in_one_line(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(*(make_step(f"a/{number}") for number in range(230)))
    assert call("plan").out == "Nothing to do: 230 entries are fresh.\n"
    assert call("status").out == "Up to date: 230 entries.\n"


def test_held_and_unpicked_entries_have_their_lines(call: Call, walk: Walk) -> None:
    held = make_step("heroes/knight", "fresh", Reason("held", "prompt", "a knight", "a tired knight"), held=True)
    walk.plan = make_plan(held, make_step("heroes/mage", "fresh", Reason("unpicked")))
    out = call("status").out
    assert "  held      heroes/knight  approved, keeps its picture (prompt: added “tired”)" in out
    assert "  unpicked  heroes/mage    no candidate is picked yet" in out
    assert out.endswith("Up to date: 2 entries (1 held, 1 unpicked).\n")


def test_orphans_are_named_with_what_removes_them(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x"), orphans=[OLD])
    out = call("status").out
    assert "`qwenbuild clean` removes the files" in out
    assert "  orphan    icons/old.png" in out


def test_notices_go_to_stderr_and_stop_after_a_few(call: Call, walk: Walk) -> None:
    walk.notices = tuple(Problem("long-prompt", f"prompt {number} is long") for number in range(20))
    ended = call("plan", "--json")
    assert json.loads(ended.out)["v"] == 1
    assert ended.err.count("is long") == 8
    assert "and 12 more (-v shows them)" in ended.err
    assert call("plan", "-v").err.count("is long") == 20


def test_plan_says_what_would_stop_a_build_and_exits_0(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "generate"))
    walk.stop = GateStop("the plan costs $0.03, the budget is $0.01", code="budget")
    ended = call("plan")
    assert ended.code == 0
    assert "`build` would stop here: the plan costs $0.03, the budget is $0.01" in ended.err


def test_an_error_in_the_manifest_names_its_place(call: Call, walk: Walk) -> None:
    mark = Mark("qwenbuild.yaml", 7, 5)
    found = Problem("unknown-key", "unknown key 'promt'", mark, "assets.a.promt", "    promt: x", "did you mean 'prompt'?")
    walk.raises = InputError("1 error", problems=(found,))
    ended = call("plan")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("qwenbuild.yaml:7:5: unknown key 'promt'\n")
    as_json = call("plan", "--json")
    assert as_json.code == 2
    assert json.loads(as_json.out) == {
        "v": 1,
        "errors": [
            {
                "file": "qwenbuild.yaml",
                "line": 7,
                "column": 5,
                "path": "assets.a.promt",
                "code": "unknown-key",
                "message": "unknown key 'promt'",
            }
        ],
    }


def test_a_plan_at_an_unknown_price_says_so(call: Call, walk: Walk) -> None:
    walk.plan = make_plan(make_step("a/x", "generate", Reason("new"), price=None), make_step("a/y", "generate", Reason("new")))
    out = call("plan").out
    assert "price unknown" in out
    assert "Cost: $0.03 + 1 picture at an unknown price" in out


def test_options_reach_the_walk(call: Call, walk: Walk) -> None:
    flags = "--locked --offline --max-cost 2.50 --max-cost apiframe=60 --limit 3 --strict"
    call("build", "-n", "a/*", "tag:ui", *flags.split())
    options = walk.options
    assert options.select == ("a/*", "tag:ui")
    assert (options.locked, options.offline, options.limit, options.strict) == (True, True, 3, True)
    assert options.max_cost == {"usd": Decimal("2.50"), "apiframe": Decimal(60)}


def test_status_can_be_kept_off_the_network(call: Call, walk: Walk) -> None:
    call("status", "--check", "--offline")
    assert walk.options.offline


def test_a_code_is_not_said_twice(call: Call, walk: Walk) -> None:
    twice = Reason("refused", "", None, "DataInspectionFailed: DataInspectionFailed: no")
    walk.plan = make_plan(make_step("a/x", "refused", twice))
    assert "  refused   a/x  refused: DataInspectionFailed: no\n" in call("plan").out
