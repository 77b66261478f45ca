"""What follows from a check that fails: other seeds within what was agreed to, the best candidate, and a person's last word."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from qwenbuild.checks import judges
from qwenbuild.checks.check import Measurement
from qwenbuild.emulator import Served
from qwenbuild.errors import GateStop, InputError
from qwenbuild.images import DecodedPicture
from qwenbuild.key import reroll_seed
from qwenbuild.verbs import choices
from tests.walking import Project

ICONS = """\
version: 1
assets:
  icons:
    prompt: "icon {{ n }}"
    matrix: {n: [a, b]}
    seed: 5
    params: {size: "64*64"}
    expect: {sharpness: 1}
    on_fail: reroll
"""
SECOND, THIRD = reroll_seed(5, 2), reroll_seed(5, 3)

Scripted = Callable[..., None]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Makes the check say what a script says: of the pictures in the order in which it sees them, each once."""

    def script(*words: str | int, then: str | int = "pass") -> None:
        known: dict[str, str | int] = {}
        left = list(words)

        def judge(picture: DecodedPicture, parameters: Any) -> Measurement:
            word = known.setdefault(hashlib.sha256(picture.data).hexdigest(), left.pop(0) if left else then)
            return Measurement(
                "it is dull" if word == "fail" else "", evidence={"score": word} if isinstance(word, int) else {}
            )

        monkeypatch.setitem(judges.JUDGES, "sharpness", judge)  # type: ignore[arg-type]

    return script


def entries(project: Project) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(project.lock.read_text(encoding="utf-8"))["entries"]
    return found


def one_icon(project: Project, more: str = "") -> None:
    project.manifest(ICONS.replace("[a, b]", "[a]") + more)


def test_a_picture_that_fails_is_drawn_again_with_the_next_seed_of_the_rule(walked: Project, scripted: Scripted) -> None:
    one_icon(walked)
    scripted("fail", "pass")
    assert walked.build().exit_code == 0
    assert walked.submitted == ["icons/a", "icons/a"]
    entry = entries(walked)["icons/a"]
    assert (entry["action"]["seed"], entry["chosen"], entry["checks"]) == (SECOND, "reroll", {"sharpness": "pass"})
    assert len(entry["candidates"]) == 1
    assert walked.verdicts() == {"icons/a": "fresh"}
    assert (walked.build().exit_code, walked.submitted) == (0, [])


def test_nothing_is_drawn_beyond_the_attempts_and_the_pictures_stay_in_the_cache(walked: Project, scripted: Scripted) -> None:
    one_icon(walked)
    scripted(then="fail")
    for builds in range(3):
        summary = walked.build()
        assert (summary.exit_code, [failure.entry for failure in summary.failures]) == (1, ["icons/a"])
        assert walked.submitted == ([] if builds else ["icons/a"] * 3)
    assert len(walked.cache().known_blobs()) == 3
    assert walked.verdicts() == {"icons/a": "failed"}


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_number_of_attempts_counts_the_first_picture(walked: Project, scripted: Scripted, attempts: int) -> None:
    one_icon(walked, f"    attempts: {attempts}\n")
    scripted(then="fail")
    walked.build()
    assert len(walked.submitted) == attempts


def test_the_same_manifest_gives_the_same_pictures_on_another_machine(
    walked: Project, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked.manifest(ICONS)
    scripted("fail", "pass", "pass")
    walked.build()
    first, tree = walked.lock.read_bytes(), walked.tree()
    walked.lose("state", "outputs")
    scripted("fail")
    assert (walked.build().exit_code, walked.submitted, walked.tree()) == (0, [], tree)
    assert walked.lock.read_bytes() == first


def test_a_lockfile_s_second_attempt_is_drawn_where_the_cache_is_gone_and_the_first_is_not(
    walked: Project, scripted: Scripted
) -> None:
    one_icon(walked)
    scripted("fail", "pass")
    walked.build()
    tree = walked.tree()
    walked.lose("cache", "outputs", "state")
    assert walked.build().exit_code == 0
    assert (walked.submitted, walked.tree()) == (["icons/a"], tree)


def test_a_build_that_died_after_the_first_attempt_goes_on_with_the_second(walked: Project, scripted: Scripted) -> None:
    one_icon(walked, "    attempts: 1\n")
    scripted("fail", "pass")
    walked.build()
    one_icon(walked)
    assert walked.verdicts() == {"icons/a": "generate"}
    assert (walked.build().exit_code, walked.submitted) == (0, ["icons/a"])
    assert entries(walked)["icons/a"]["action"]["seed"] == SECOND


def test_look_alikes_are_drawn_again_where_the_set_says_so(walked: Project) -> None:
    walked.manifest(ICONS.replace("icon {{ n }}", "icon").replace("{sharpness: 1}", "{near_duplicate: 0}"))
    assert walked.build().exit_code == 0
    assert sorted(entry["action"]["seed"] for entry in entries(walked).values()) == sorted([5, SECOND])
    assert entries(walked)["icons/b"]["chosen"] == "reroll"
    assert set(walked.verdicts().values()) == {"fresh"}


def test_what_builds_on_a_picture_that_was_drawn_again_is_built_too(walked: Project, scripted: Scripted) -> None:
    one_icon(walked, '  big:\n    prompt: "big"\n    inputs: [{entry: icons/a}]\n')
    scripted("fail", "pass")
    assert (walked.build().exit_code, walked.submitted) == (0, ["icons/a", "icons/a", "big"])
    assert entries(walked)["big"]["action"]["inputs"] == [entries(walked)["icons/a"]["digest"]]


def test_a_person_s_pick_and_approval_stop_every_reroll(walked: Project, scripted: Scripted) -> None:
    walked.manifest(ICONS)
    walked.build()
    choices.approve(walked.options(), ("icons/a",))
    scripted(then="fail")
    walked.edit("sharpness: 1", "sharpness: 2")
    walked.build()
    assert walked.submitted == ["icons/b", "icons/b"]
    assert entries(walked)["icons/a"]["action"]["seed"] == 5
    assert "chosen" not in entries(walked)["icons/a"]


# ---------------------------------------------------------------- money

PAID = ICONS.replace("version: 1\n", "version: 1\nprovider: dashscope\n").replace("64*64", "1328*1328")


def test_the_plan_names_the_price_of_the_worst_case_and_consent_is_for_it(
    walked: Project, scripted: Scripted, emulated: Served
) -> None:
    walked.manifest(PAID)
    plan = walked.plan().plan
    price = plan.cost["usd"]
    assert plan.most == {"usd": 3 * price}
    scripted(then="fail")
    with pytest.raises(GateStop, match=r"this build costs up to .* USD, more than --max-cost"):
        walked.build(yes=False, max_cost={"usd": 2 * price})
    assert walked.submitted == []
    summary = walked.build(yes=False, max_cost={"usd": 3 * price})
    assert (summary.spent, len(walked.submitted)) == ({"usd": 3 * price}, 6)
    assert len(emulated.prompts()) == 6


def test_a_budget_that_the_worst_case_exceeds_stops_at_the_gate(walked: Project, emulated: Served) -> None:
    walked.manifest(PAID.replace("version: 1\n", 'version: 1\nbudget: {usd: "0.13"}\n'))
    with pytest.raises(GateStop, match="more than the manifest's budget"):
        walked.build()
    assert walked.submitted == []


def test_a_limited_build_draws_nothing_again(walked: Project, scripted: Scripted, emulated: Served) -> None:
    walked.manifest(PAID)
    scripted(then="fail")
    assert walked.plan(limit=1).plan.most == walked.plan(limit=1).plan.cost
    walked.build(limit=1)
    assert len(walked.submitted) == 1


def test_what_is_as_expected_costs_nothing_more(walked: Project, emulated: Served) -> None:
    walked.manifest(PAID)
    summary = walked.build()
    assert (summary.exit_code, len(walked.submitted)) == (0, 2)
    assert walked.plan().plan.most == {}
    assert len(emulated.prompts()) == 2


# ---------------------------------------------------------------- the best of several

BEST = ICONS.replace("[a, b]", "[a]").replace("    on_fail: reroll\n", "    variants: 3\n    choose: best\n")


def test_the_candidate_that_does_best_is_used_and_the_rule_stands_in_the_lockfile(walked: Project, scripted: Scripted) -> None:
    walked.manifest(BEST)
    scripted(10, 900, 900)
    assert walked.build().exit_code == 0
    entry = entries(walked)["icons/a"]
    assert (entry["chosen"], len(entry["candidates"])) == ("best", 2)
    assert entry["action"]["seed"] == 6
    assert walked.verdicts() == {"icons/a": "fresh"}
    assert (walked.build().exit_code, walked.submitted) == (0, [])


def test_a_candidate_that_passes_is_better_than_one_that_scores_more_and_fails(walked: Project, scripted: Scripted) -> None:
    walked.manifest(BEST)
    scripted("fail", "fail", 1)
    assert walked.build().exit_code == 0
    assert entries(walked)["icons/a"]["action"]["seed"] == 7


def test_a_person_s_pick_wins_over_the_rule_and_survives_it(walked: Project, scripted: Scripted) -> None:
    walked.manifest(BEST)
    scripted(10, 900, 20)
    walked.build()
    choices.pick(walked.options(), "icons/a", 1)
    assert entries(walked)["icons/a"]["action"]["seed"] == 5
    walked.build()
    walked.edit("sharpness: 1", "sharpness: 2")
    scripted("fail", 900, 20)
    assert walked.build().exit_code == 0
    entry = entries(walked)["icons/a"]
    assert (entry["action"]["seed"], entry["checks"]) == (5, {"sharpness": "warn"})
    assert (entry["picked"] == entry["key"], "chosen" in entry) == (True, False)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("    on_fail: reroll\n", "    attempts: 3\n", "`attempts` needs `on_fail: reroll`"),
        ("    expect: {sharpness: 1}\n    on_fail: reroll\n", "    choose: best\n", "`choose: best` needs an `expect`"),
        ("on_fail: reroll", "on_fail: again", 'must be one of fail, warn, reroll, not "again"'),
        ("on_fail: reroll\n", "on_fail: reroll\n    attempts: 11\n", "must be a whole number from 1 to 10, not 11"),
    ],
)
def test_what_makes_no_sense_is_an_error_before_anything_is_spent(walked: Project, old: str, new: str, sentence: str) -> None:
    walked.manifest(ICONS.replace(old, new))
    with pytest.raises(InputError) as caught:
        walked.build()
    assert sentence in caught.value.problems[0].message


# ---------------------------------------------------------------- accept anyway


@pytest.mark.parametrize("way", ["pick", "approve"])
def test_a_picture_that_failed_and_was_never_written_can_be_accepted_anyway(
    walked: Project, scripted: Scripted, way: str
) -> None:
    one_icon(walked, "    attempts: 1\n")
    scripted(then="fail")
    assert (walked.build().exit_code, walked.tree()) == (1, {})
    if way == "pick":
        choices.pick(walked.options(), "icons/a", 1)
    else:
        choices.approve(walked.options(), ("icons/a",))
    assert walked.verdicts() == {"icons/a": "restore"}
    assert (walked.build().exit_code, walked.submitted, list(walked.tree())) == (0, [], ["icons/a.png"])
    assert entries(walked)["icons/a"]["checks"] == {"sharpness": "warn"}
    assert walked.verdicts() == {"icons/a": "fresh"}


def test_a_locked_build_draws_nothing_again_whatever_its_checks_find(walked: Project, scripted: Scripted) -> None:
    """A machine that has never judged the picture restores it, finds it dull, and says so: the lockfile stays what it is."""
    one_icon(walked)
    scripted(then="pass")
    assert walked.build().exit_code == 0
    before = walked.lock.read_bytes()
    shutil.rmtree(walked.out)
    shutil.rmtree(walked.cache_dir / "judged")
    (walked.folder / ".qwenbuild" / "qwenbuild.state").unlink(missing_ok=True)
    scripted(then="fail")
    summary = walked.build(locked=True, yes=True)
    assert (summary.exit_code, walked.submitted, walked.lock.read_bytes()) == (1, [], before)
