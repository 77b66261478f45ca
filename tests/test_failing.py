"""Pictures that are paid for and fail their checks: the words agree everywhere, and a systematic failure stops the spending."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.emulator.pictures import background_of, digest_of, png
from qwenbuild.errors import InputError
from qwenbuild.images import derive, normalise
from qwenbuild.report.plan_json import summary_json
from qwenbuild.report.plan_text import plan_lines, plan_summary, status_summary
from qwenbuild.report.progress import Plain
from qwenbuild.report.summary import failure_lines, summary_lines
from qwenbuild.report.terminal import Terminal
from qwenbuild.run.failures import Failures
from tests.walking import Project

HEAD = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, mode: auto, limits: {rps: 200, concurrency: 2}}
defaults: {params: {size: "1:1", prompt_extend: false}, model: qwen-image-plus}
assets:
"""
NUMBERS = ", ".join(f"n{at:02}" for at in range(40))
ICONS = (
    HEAD
    + f'  icons: {{prompt: "icon {{{{ n }}}}", matrix: {{n: [{NUMBERS}]}}, expect: {{mode: RGBA}}}}\n'
    + f'  tiles: {{prompt: "tile {{{{ n }}}}", matrix: {{n: [{NUMBERS}]}}}}\n'
)


def bought(emulated: Served, word: str) -> int:
    return sum(prompt.startswith(word) for prompt in emulated.prompts())


# ---------------------------------------------------------------- a systematic failure


def test_five_failures_in_a_row_pause_an_asset_and_the_rest_goes_on(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS)
    summary = walked.build()
    assert summary.exit_code == 1
    assert 5 <= bought(emulated, "icon") <= 15, "what was in flight may end"
    assert bought(emulated, "tile") == 40
    (paused,) = [message for _, code, message in summary.failures if code == "paused"]
    assert "icons is paused, nothing more of it is bought: 5 in a row of its pictures failed" in paused
    assert "`qwenbuild build asset:icons`" in paused
    assert [str(event.data["text"]) for event in walked.events.events if event.event == "message"].count(paused) == 1


def test_the_next_build_of_a_paused_asset_goes_on_and_stops_again(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS)
    walked.build()
    before = bought(emulated, "icon")
    assert walked.build(select=("asset:icons",)).exit_code == 1
    assert before + 5 <= bought(emulated, "icon") <= before + 15
    walked.edit(", expect: {mode: RGBA}", "")
    assert walked.build().exit_code == 0
    assert bought(emulated, "icon") == 40


@pytest.mark.parametrize(("said", "most"), [("2", 12), ("false", 40)])
def test_the_number_of_failures_is_a_setting_and_false_never_pauses(
    walked: Project, emulated: Served, said: str, most: int
) -> None:
    walked.manifest(ICONS.replace("expect: {mode: RGBA}", f"expect: {{mode: RGBA}}, stop_after_failures: {said}"))
    walked.build()
    assert (2 if said == "2" else 40) <= bought(emulated, "icon") <= most


def test_the_default_of_a_manifest_is_overruled_by_the_asset(walked: Project, emulated: Served) -> None:
    both = ICONS.replace("model: qwen-image-plus}", "model: qwen-image-plus, stop_after_failures: 1}")
    walked.manifest(both.replace("expect: {mode: RGBA}", "expect: {mode: RGBA}, stop_after_failures: 3"))
    walked.build()
    assert 3 <= bought(emulated, "icon") <= 13


@pytest.mark.parametrize("bad", ["0", "-1", "true", "many", "1001"])
def test_a_number_that_says_nothing_is_an_error(walked: Project, bad: str) -> None:
    walked.manifest(ICONS.replace("expect: {mode: RGBA}", f"expect: {{mode: RGBA}}, stop_after_failures: {bad}"))
    with pytest.raises(InputError):
        walked.plan()


def test_doubts_count_as_failures_for_they_may_have_been_paid_for(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS.replace("mode: auto", "mode: sync").replace("expect: {mode: RGBA}", "seed: 0"))
    emulated.fault("accepted", "reset", times=None)
    summary = walked.build()
    assert summary.exit_code == 6
    assert bought(emulated, "icon") <= 15
    assert bought(emulated, "tile") <= 15


def test_refusals_cost_nothing_and_pause_nothing(walked: Project, emulated: Served) -> None:
    emulated.configure(refuse_words=["icon"])
    walked.manifest(ICONS)
    summary = walked.build()
    assert [code for _, code, _ in summary.failures if code == "paused"] == []
    assert summary.counts["refused"] == 40


@pytest.mark.parametrize(
    ("ends", "pauses_at"),
    [
        ("xxxxx", 5),
        ("xxxx.xxxx", 7),
        ("x.x.x.x.x.x.x.x.x.x.", None),
        ("xx.xx.xx.", 8),
        ("x" * 4 + "." * 10, None),
    ],
)
def test_chance_does_not_pause_and_a_pattern_does(ends: str, pauses_at: int | None) -> None:
    counted = Failures()
    pauses = [at for at, end in enumerate(ends, 1) if counted.note("icons", "bad" if end == "x" else "")]
    assert pauses == ([] if pauses_at is None else [pauses_at])
    assert counted.note("tiles", "bad") == ""


# ---------------------------------------------------------------- one word for it


THREE = HEAD + '  icons: {prompt: "icon {{ n }}", matrix: {n: [a, b, c]}, expect: {mode: RGBA}}\n'


def words_of(lines: Any) -> str:
    return "\n".join(lines)


def test_a_picture_that_fails_its_check_is_called_so_everywhere(walked: Project, emulated: Served) -> None:
    walked.manifest(THREE)
    summary = walked.build()
    log = io.StringIO()
    shown = Plain(log, Terminal())
    for event in walked.events.events:
        shown.event(event)
    made = walked.plan().plan
    texts = {
        "line": log.getvalue(),
        "failures": words_of(failure_lines(summary, Terminal())),
        "summary": words_of(summary_lines(summary, Terminal())),
        "plan": words_of([*plan_lines(made, Terminal()), *plan_summary(made, Terminal())]),
        "status": words_of(status_summary(made, Terminal())),
    }
    for place, text in texts.items():
        assert "failed" in text, place
        assert "check" in text, place
        assert "refused" not in text, place
        assert "to derive" not in text.partition("\n")[2] or place == "line", place
    assert "3 failed their check" in texts["summary"]
    assert "3 failed their check" in texts["status"]
    assert (summary.counts, summary.exit_code) == ({"failed": 3}, 1)
    told = summary_json(made)
    assert (told["failed"], told["refused"], told["derive"], told["generate"]) == (3, 0, 0, 0)
    assert set(walked.verdicts().values()) == {"failed"}


def test_what_failed_costs_nothing_and_is_exit_1_until_it_is_asked_for_again(walked: Project, emulated: Served) -> None:
    walked.manifest(THREE)
    for _ in range(3):
        summary = walked.build()
        assert (summary.exit_code, summary.counts, bought(emulated, "icon")) == (1, {"failed": 3}, 3)
    walked.build(retry_failed=True)
    assert bought(emulated, "icon") == 6


KEYED = HEAD + (
    '  icons:\n    prompt: "icon {{ n }}"\n    matrix: {n: [a, b]}\n'
    '    outputs: [{path: "{{ n }}.png", steps: [{key_out: {color: "#00ff00", alpha: {max: 0.5}}}]}]\n'
)


def test_a_picture_that_its_steps_do_not_suit_has_failed_and_is_not_to_derive(walked: Project, emulated: Served) -> None:
    walked.manifest(KEYED)
    assert walked.build().counts == {"failed": 2}
    assert set(walked.verdicts().values()) == {"failed"}
    assert walked.plan().plan.counts["derive"] == 0
    assert walked.build().exit_code == 1
    assert bought(emulated, "icon") == 2
    assert walked.plan(retry_failed=True).plan.cost == {"usd": Decimal("0.06")}
    walked.edit('steps: [{key_out: {color: "#00ff00", alpha: {max: 0.5}}}]', "steps: [{resize: {width: 64}}]")
    assert (walked.build().exit_code, bought(emulated, "icon")) == (0, 2)


def test_fail_fast_stops_at_the_first_picture_that_fails_its_check(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS.replace("concurrency: 2", "concurrency: 1"))
    walked.build(fail_fast=True)
    assert len(emulated.prompts()) <= 11


# ---------------------------------------------------------------- the emulator's pictures


def test_a_background_that_the_prompt_asks_for_can_be_keyed_out_of_the_emulators_picture() -> None:
    assert background_of("a mug on a solid #00ff00 background, no shadow") == (0, 255, 0)
    assert background_of("a mug") == ()
    for colour in ((0, 255, 0), (255, 0, 255), (255, 255, 255), (0, 0, 0)):
        code = "#" + bytes(colour).hex()
        for seed in range(8):
            data = png(256, 256, digest_of({"seed": seed}), background=colour)
            keyed = derive(data, (normalise("key_out", {"color": code, "alpha": {"min": 0.3, "max": 0.7}}),), "image/png")
            assert keyed.startswith(b"\x89PNG")


def test_the_tavern_passes_its_own_expectations_on_the_emulator(walked: Project, emulated: Served) -> None:
    tavern = Path(__file__).parent.parent / "examples" / "tavern"
    import shutil

    shutil.copytree(tavern, walked.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock", "assets", ".qwenbuild"))
    walked.edit("provider: placeholder", "provider: dashscope")
    walked.edit("limits: {rps: 2, concurrency: 2}", "limits: {rps: 200, concurrency: 20}")
    summary = walked.build(select=("asset:items",))
    assert (summary.exit_code, summary.counts.get("failed", 0)) == (0, 0)
