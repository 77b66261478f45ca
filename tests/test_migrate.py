"""Moving a manifest to another model changes that name alone, says what it will cost, and spends nothing."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.verbs import Options, migrate
from tests.walking import Project

EXAMPLES = Path(__file__).parent.parent / "examples"


def moved(walked: Project, text: str, old: str, new: str, **said: Any) -> tuple[str, Any]:
    """The manifest's text after a move, and what was said of it."""
    path = walked.folder / "qwenbuild.yaml"
    path.write_bytes(text.encode())
    done = migrate(Options(walked.folder), {old: new}, **said)
    return path.read_bytes().decode(), done


@pytest.mark.parametrize("name", ["tavern", "launch"])
def test_an_example_keeps_every_other_byte_and_a_second_move_changes_nothing(name: str, walked: Project) -> None:
    shutil.copytree(EXAMPLES / name, walked.folder, dirs_exist_ok=True)
    path = walked.folder / "qwenbuild.yaml"
    before = path.read_bytes()
    lock = walked.lock.read_bytes()
    done = migrate(Options(walked.folder), {"qwen-image-2.0": "qwen-image-3.0"})
    assert path.read_bytes() == before.replace(b"model: qwen-image-2.0", b"model: qwen-image-3.0")
    assert [line.after.strip() for line in done.lines] == ["model: qwen-image-3.0"]
    assert before.splitlines()[done.lines[0].line - 1].decode() == done.lines[0].before
    after = path.stat().st_mtime_ns
    again = migrate(Options(walked.folder), {"qwen-image-2.0": "qwen-image-3.0"})
    assert (again.lines, again.written, path.stat().st_mtime_ns) == ((), False, after)
    assert walked.lock.read_bytes() == lock


@pytest.mark.parametrize("name", ["tavern", "launch"])
def test_an_example_that_is_drawn_for_money_says_what_the_move_generates_and_costs(
    name: str, walked: Project, emulated: Served
) -> None:
    shutil.copytree(EXAMPLES / name, walked.folder, dirs_exist_ok=True)
    walked.edit("provider: placeholder", "provider: dashscope")
    done = migrate(Options(walked.folder), {"qwen-image-2.0": "qwen-image-3.0-pro"})
    plan = walked.plan().plan
    assert done.planned.plan.cost == plan.cost
    assert plan.counts["generate"] == len(plan.steps) > 0
    assert plan.cost == {"usd": sum((step.candidates[0].price or {})["usd"] for step in plan.steps)}
    assert plan.cost["usd"] > Decimal("0.04") * len(plan.steps)
    assert emulated.requests() == []


STYLES = """\
# kept
version: 1   # and this
provider: dashscope
providers:
  dashscope: {region: singapore, model: "qwen-image-max"}   # flow
x-note: qwen-image-max is named here, too
defaults: { model : 'qwen-image-max', seed: 7 }
assets:
  a:
    # above
    model:   qwen-image-max   # plain, with blanks
    prompt: "qwen-image-max in words stays"
  b: {prompt: x, model: !!str qwen-image-max}
"""


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text.replace("\n", "\r\n"), lambda text: f"\ufeff{text}"])
def test_each_way_of_writing_a_model_keeps_its_quotes_blanks_line_ends_and_comments(walked: Project, change: Any) -> None:
    text, done = moved(walked, change(STYLES), "qwen-image-max", "qwen-image-2.0")
    expected = STYLES
    for before in ('"%s"', "'%s'", "model:   %s", "str %s"):
        expected = expected.replace(before % "qwen-image-max", before % "qwen-image-2.0")
    assert text == change(expected)
    assert len(done.lines) == 4
    assert done.by_hand == ()


UNSAID = """\
version: 1
provider: dashscope
providers:
  dashscope:   # the studio's
    # which one
    region: beijing
assets:
  a: {prompt: x}
  b: {prompt: y, model: qwen-image-plus}
"""


def test_where_nobody_named_a_model_a_line_is_added_to_the_provider(walked: Project) -> None:
    text, done = moved(walked, UNSAID, "qwen-image-2.0", "qwen-image-3.0")
    assert text == UNSAID.replace("studio's\n", "studio's\n    model: qwen-image-3.0\n")
    assert [(line.line, line.before) for line in done.lines] == [(5, "")]
    assert moved(walked, text, "qwen-image-2.0", "qwen-image-3.0")[0] == text


def test_where_there_is_no_provider_either_the_assets_name_it(walked: Project) -> None:
    bare = "version: 1\nprovider: dashscope\nassets:\n  a:\n    prompt: x\n  b: {prompt: y}\n"
    text, _ = moved(walked, bare, "qwen-image-2.0", "qwen-image-3.0")
    expected = bare.replace("  a:\n", "  a:\n    model: qwen-image-3.0\n")
    assert text == expected.replace("{prompt: y", "{model: qwen-image-3.0, prompt: y")


def test_a_model_of_the_same_name_at_another_provider_stays(walked: Project) -> None:
    text = """\
version: 1
providers: {apiframe: {dialect: openapi}}
assets:
  a: {provider: dashscope, prompt: x, model: qwen-image}
  b: {provider: apiframe, prompt: x, model: qwen-image}
"""
    assert moved(walked, text, "qwen-image", "qwen-image-2.0")[0] == text.replace(
        "model: qwen-image", "model: qwen-image-2.0", 1
    )


def test_what_comes_from_a_template_or_an_anchor_is_left_to_a_person(walked: Project) -> None:
    text = """\
version: 1
provider: dashscope
models: {qwen-image-max: {price: {usd: "0.01"}}}
assets:
  a: {prompt: x, model: "{{ m }}", matrix: {m: [qwen-image-max, qwen-image-plus]}}
  b: {prompt: x, model: qwen-image-max}
"""
    after, done = moved(walked, text, "qwen-image-max", "qwen-image-2.0")
    assert after == text.replace("model: qwen-image-max", "model: qwen-image-2.0")
    assert [problem.path for problem in done.by_hand] == ["assets.a.model", "models.qwen-image-max"]
    shared = "version: 1\nprovider: dashscope\nvars: {m: &m qwen-image-max}\nassets: {a: {prompt: '{{ m }}', model: *m}}\n"
    with pytest.raises(InputError, match="by hand"):
        moved(walked, shared, "qwen-image-max", "qwen-image-2.0")
    assert (walked.folder / "qwenbuild.yaml").read_text() == shared


def test_limits_that_the_new_model_is_not_known_to_bear_are_said(walked: Project) -> None:
    text = UNSAID.replace("region: beijing", "limits: {rps: 2}")
    _, done = moved(walked, text, "qwen-image-2.0", "qwen-image-3.0")
    assert [problem.message for problem in done.by_hand] == [
        "`limits` allow 120 submissions a minute; qwen-image-3.0 is known to take 5"
    ]


def test_a_model_that_cannot_draw_what_is_asked_for_stops_the_move_before_a_byte_is_written(walked: Project) -> None:
    text = "version: 1\nprovider: dashscope\nassets: {a: {prompt: x, params: {negative_prompt: blur}}}\n"
    with pytest.raises(InputError, match="cannot express negative_prompt"):
        moved(walked, text, "qwen-image-2.0", "wan2.7-image")
    assert (walked.folder / "qwenbuild.yaml").read_text() == text


@pytest.mark.parametrize(("old", "new"), [("qwen-image-2.0", "qwen-image-3.O"), ("qwen-image-maxx", "qwen-image-2.0")])
def test_a_mistyped_model_gets_a_near_miss_and_changes_nothing(walked: Project, old: str, new: str) -> None:
    with pytest.raises(InputError) as caught:
        moved(walked, UNSAID, old, new)
    assert "did you mean qwen-image-" in caught.value.problems[0].hint
    assert (walked.folder / "qwenbuild.yaml").read_text() == UNSAID


def test_a_dry_run_writes_nothing_and_says_the_same(walked: Project) -> None:
    text, done = moved(walked, UNSAID, "qwen-image-2.0", "qwen-image-3.0", dry=True)
    assert (text, done.written, len(done.lines)) == (UNSAID, False, 1)
    assert done.planned.plan.cost == {"usd": Decimal("0.024754") + Decimal("0.028671")}


def test_a_file_that_somebody_changed_meanwhile_is_not_written_over(walked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from qwenbuild.planning import planner

    make = planner.make

    def meanwhile(*args: Any) -> Any:
        walked.manifest(UNSAID + "# mine\n")
        return make(*args)

    monkeypatch.setattr(planner, "make", meanwhile)
    with pytest.raises(InputError, match="changed by somebody else"):
        moved(walked, UNSAID, "qwen-image-2.0", "qwen-image-3.0")
    assert (walked.folder / "qwenbuild.yaml").read_text() == UNSAID + "# mine\n"


def test_a_links_target_and_the_files_mode_stay_what_they_were(walked: Project) -> None:
    real = walked.folder / "shared.yaml"
    real.write_text(UNSAID)
    real.chmod(0o664)
    (walked.folder / "qwenbuild.yaml").symlink_to(real.name)
    migrate(Options(walked.folder), {"qwen-image-2.0": "qwen-image-3.0"})
    assert (walked.folder / "qwenbuild.yaml").is_symlink()
    assert "qwen-image-3.0" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o664


def test_the_command_shows_lines_plan_and_price_and_its_json_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    walked.manifest(UNSAID)
    assert run(["migrate", "--model", "qwen-image-plus=qwen-image-2.0", "-n"]) == 0
    shown = capsys.readouterr().out
    changed = "  -   b: {prompt: y, model: qwen-image-plus}\n  +   b: {prompt: y, model: qwen-image-2.0}\n"
    assert shown.startswith(f"qwenbuild.yaml:9\n{changed}Nothing was written.\n")
    assert "Cost: $0.07, about" in shown
    assert run(["migrate", "--model", "qwen-image-plus=qwen-image-2.0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["written"], said["summary"]["generate"], said["summary"]["cost"]) == (True, 2, {"usd": "0.07"})
    assert run(["migrate", "--model", "qwen-image-plus"]) == 2


RETIRING = """\
version: 1
provider: dashscope
assets:
  a: {prompt: "x {{ n }}", model: qwen-image-max, matrix: {n: [1, 2, 3]}}
  b: {prompt: "y", model: qwen-image-edit-plus, inputs: [{entry: a/1}]}
"""


def test_a_plan_says_which_model_to_take_and_what_moving_costs(walked: Project) -> None:
    from qwenbuild.verbs import shown

    walked.manifest(RETIRING)
    told = [notice for notice in shown(walked.options()).notices if notice.code in ("model-retired", "model-move")]
    assert [notice.code for notice in told] == ["model-retired", "model-retired", "model-move", "model-move"]
    assert told[2].message == (
        "moving 3 pictures from qwen-image-max to qwen-image-2.0 would cost 0.105 USD: "
        "`qwenbuild migrate --model qwen-image-max=qwen-image-2.0`"
    )
    migrate(walked.options(), {"qwen-image-max": "qwen-image-2.0", "qwen-image-edit-plus": "qwen-image-2.0"})
    plan = shown(walked.options())
    assert plan.plan.cost == {"usd": Decimal("0.14")}
    assert [notice for notice in plan.notices if notice.code in ("model-retired", "model-move")] == []
