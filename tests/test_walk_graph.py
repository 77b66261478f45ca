"""Entries that build on files and on other entries: what is sent again, settled, skipped and cut off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.images import placeholder_png
from qwenbuild.model import Action
from qwenbuild.report.graph import graph_lines
from tests.walking import Project

MOODS = ["calm", "angry", "happy", "sad", "proud", "shy", "tired", "sly", "bored", "brave", "lost", "wild"]
HERO = f"""\
version: 1
provider: dashscope
providers: {{dashscope: {{model: qwen-image-2.0, limits: {{rps: 500, concurrency: 20}}}}}}
defaults: {{params: {{size: "1024*1024", prompt_extend: false}}}}
assets:
  base:
    prompt: "a knight"
  moods:
    prompt: "the same knight, {{{{ mood }}}}"
    model: qwen-image-edit
    params: {{size: null}}
    matrix: {{mood: [{", ".join(MOODS)}]}}
    inputs: [{{entry: base}}]
"""


@pytest.fixture
def hero(walked: Project, emulated: Served) -> Project:
    walked.manifest(HERO)
    return walked


@pytest.fixture
def built(hero: Project) -> Project:
    assert hero.build().exit_code == 0
    return hero


def mood(name: str) -> str:
    return f"the same knight, {name}"


def test_a_character_and_its_moods_are_bought_in_the_order_of_need(hero: Project, emulated: Served) -> None:
    assert hero.build().exit_code == 0
    prompts = emulated.prompts()
    assert prompts[0] == "a knight"
    assert sorted(prompts[1:]) == sorted(mood(name) for name in MOODS)
    assert hero.verdicts() == {"base": "fresh"} | {f"moods/{name}": "fresh" for name in MOODS}


def test_the_plan_prices_the_whole_graph_before_anything_is_there(hero: Project) -> None:
    plan = hero.plan().plan
    assert plan.counts["generate"] == 13
    assert {step.candidates[0].candidate.key for step in plan.steps[1:]} == {""}
    assert plan.cost == {"usd": plan.steps[0].candidates[0].price["usd"] + 12 * plan.steps[1].candidates[0].price["usd"]}


def test_touching_one_mood_submits_one(built: Project, emulated: Served) -> None:
    before = len(emulated.prompts())
    built.edit(", sly,", ", foxy,")
    assert built.build().exit_code == 0
    assert emulated.prompts()[before:] == [mood("foxy")]


def test_another_reference_picture_submits_all_thirteen(built: Project, emulated: Served) -> None:
    before = len(emulated.prompts())
    built.edit('prompt: "a knight"', 'prompt: "an old knight"')
    assert built.build().exit_code == 0
    assert emulated.prompts()[before] == "an old knight"
    assert sorted(emulated.prompts()[before + 1 :]) == sorted(mood(name) for name in MOODS)


def test_a_reference_that_comes_out_the_same_submits_one(hero: Project, emulated: Served) -> None:
    emulated.configure(unique=False)
    hero.build()
    before, tree, lock = len(emulated.prompts()), hero.tree(), hero.lock.read_bytes()
    hero.edit('prompt: "a knight"', 'prompt: "a knight"\n    seed: 9')
    hero.edit("seed: 9", "seed: 0")
    lose_picture(hero, "base")
    (hero.out / "base.png").unlink()
    hero.edit(", sly,", ", foxy,")
    summary = hero.build(max_cost={"usd": 5})
    assert (summary.exit_code, emulated.prompts()[before:]) == (0, ["a knight", mood("foxy")])
    assert summary.counts == {"generated": 2, "fresh": 11}
    assert {path: digest for path, digest in hero.tree().items() if path in tree} == tree
    assert lock != hero.lock.read_bytes()


def lose_picture(project: Project, id: str) -> None:
    """Delete the stored bytes of an entry's picture."""
    (step,) = [step for step in project.plan().plan.steps if step.id == id]
    project.cache().blob_path(step.candidates[step.used].digest).unlink()


def test_a_forced_reference_with_the_same_picture_leaves_everything_below_it(hero: Project, emulated: Served) -> None:
    emulated.configure(unique=False)
    hero.build()
    before, tree, lock = len(emulated.prompts()), hero.tree(), hero.lock.read_bytes()
    assert hero.build(force=True, select=("base",)).exit_code == 0
    assert hero.build().exit_code == 0
    assert emulated.prompts()[before:] == ["a knight"]
    assert (hero.tree(), hero.lock.read_bytes()) == (tree, lock)


def test_a_forced_reference_with_another_picture_submits_what_builds_on_it(built: Project, emulated: Served) -> None:
    before = len(emulated.prompts())
    assert built.build(force=True, select=("base",)).exit_code == 0
    assert built.build().exit_code == 0
    assert emulated.prompts()[before] == "a knight"
    assert sorted(emulated.prompts()[before + 1 :]) == sorted(mood(name) for name in MOODS)


def test_a_lost_reference_is_bought_again_only_when_something_that_builds_on_it_must_be(
    hero: Project, emulated: Served
) -> None:
    emulated.configure(unique=False)
    hero.edit('prompt: "a knight"', 'prompt: "a knight"\n    steps: [{resize: {width: 64}}]')
    hero.build()
    before = len(emulated.prompts())
    lose_picture(hero, "base")
    assert set(hero.verdicts().values()) == {"fresh"}
    assert (hero.build().exit_code, emulated.prompts()[before:]) == (0, [])
    hero.edit(", sly,", ", foxy,")
    plan = {step.id: [reason.code for reason in step.reasons] for step in hero.plan().plan.steps}
    assert (plan["base"], plan["moods/foxy"], plan["moods/sad"]) == (["lost"], ["caused-by", "new"], ["caused-by"])
    summary = hero.build(max_cost={"usd": 5})
    assert (summary.exit_code, emulated.prompts()[before:]) == (0, ["a knight", mood("foxy")])
    assert summary.counts == {"generated": 2, "fresh": 11}


def test_a_failed_reference_skips_what_builds_on_it_and_says_which(hero: Project, emulated: Served) -> None:
    emulated.configure(refuse_words=["a knight"])
    summary = hero.build()
    assert (summary.exit_code, summary.counts) == (1, {"refused": 1, "skipped": 12})
    assert emulated.prompts() == ["a knight"]
    skipped = [(id, message) for id, code, message in summary.failures if code == "input"]
    assert [id for id, _ in skipped] == [f"moods/{name}" for name in MOODS]
    assert all(message.startswith("its input base has no picture: ") for _, message in skipped)
    assert set(hero.verdicts().values()) == {"refused"}
    assert hero.plan().plan.cost == {}


def test_a_reference_that_is_not_what_is_expected_feeds_nothing(hero: Project, emulated: Served) -> None:
    hero.edit('prompt: "a knight"', 'prompt: "a knight"\n    expect: {mode: RGBA}')
    for _ in range(2):
        assert hero.build().counts == {"failed": 1, "skipped": 12}
    assert emulated.prompts() == ["a knight"]


def test_selecting_a_mood_pulls_its_reference_in_and_nothing_else(hero: Project, emulated: Served) -> None:
    summary = hero.build(select=("moods/sly",))
    assert summary.exit_code == 0
    assert emulated.prompts() == ["a knight", mood("sly")]
    assert "what was selected builds on base, pulled in" in [problem.message for problem in summary.problems]


def test_a_limit_leaves_the_rest_for_later_and_says_so(hero: Project, emulated: Served) -> None:
    assert hero.build(limit=1).exit_code == 3
    assert emulated.prompts() == ["a knight"]
    assert hero.build(limit=2).exit_code == 3
    assert len(emulated.prompts()) == 3


CHAIN = """\
version: 1
assets:
  first: {prompt: "a seed", matrix: {n: [1, 2, 3]}}
  second: {prompt: "a sprout", matrix: {n: [1, 2, 3]}, inputs: [{entry: "first/{{ n }}"}]}
  third: {prompt: "a tree", matrix: {n: [1, 2, 3]}, inputs: [{entry: "second/{{ n }}"}, {entry: "first/1"}]}
"""


def test_levels_are_carried_out_in_the_order_of_need(walked: Project) -> None:
    walked.manifest(CHAIN)
    assert walked.build().exit_code == 0
    assert [id.partition("/")[0] for id in walked.submitted] == ["first", "second", "third"], "equal requests: one purchase"
    assert set(walked.verdicts().values()) == {"fresh"}


def test_an_early_cut_off_stops_at_the_level_whose_picture_is_the_same(walked: Project) -> None:
    walked.manifest(CHAIN.replace('"a seed"', '"a seed {{ n }}"').replace('"a sprout"', '"a sprout {{ n }}"'))
    walked.build()
    walked.edit('"a sprout {{ n }}"', '"a sprout {{ n if n != 2 else 22 }}"')
    assert walked.build().exit_code == 0
    assert sorted(walked.submitted) == ["second/2", "third/2"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ('[{entry: "b"}]', "entries need each other's pictures in a circle: a → b → a"),
        ('[{entry: "bb"}]', "`a` needs the entry `bb`, which does not exist"),
        ("[refs/none.png]", "there is no file `refs/none.png`"),
        ("[../none.png]", "leads out of the manifest's folder"),
        ("[notes.txt]", "is no picture"),
        ("[large.png]", "the most that qwen-image-edit takes is 10 MB"),
        ("[a.png, b.png, c.png, a.png]", "takes 1 to 3 reference images"),
    ],
)
def test_a_bad_input_is_a_named_error_with_line_and_column(walked: Project, inputs: str, message: str) -> None:
    (walked.folder / "notes.txt").write_text("words")
    (walked.folder / "large.png").write_bytes(picture("large") + b"\0" * (10 << 20))
    for name in "abc":
        (walked.folder / f"{name}.png").write_bytes(picture(name))
    walked.manifest(
        "version: 1\nprovider: dashscope\nassets:\n"
        f'  a:\n    prompt: "x"\n    model: qwen-image-edit\n    inputs: {inputs}\n'
        '  b: {prompt: "y", model: qwen-image-edit, inputs: [{entry: a}]}\n'
    )
    with pytest.raises(InputError) as caught:
        walked.plan()
    problem = caught.value.problems[0]
    assert message in problem.message
    assert problem.mark is not None
    assert problem.mark.line == 7


def picture(words: str) -> bytes:
    return placeholder_png(Action("placeholder", "x", words, "256*256", 1))


FILES = """\
version: 1
provider: dashscope
providers: {dashscope: {model: qwen-image-edit, limits: {rps: 500, concurrency: 20}}}
assets:
  a: {prompt: "with a", inputs: [refs/a.png]}
  b: {prompt: "with b", inputs: [refs/b.png]}
"""


def write(folder: Path, name: str, words: str) -> bytes:
    (folder / "refs").mkdir(exist_ok=True)
    data = picture(words)
    (folder / "refs" / name).write_bytes(data)
    return data


def test_a_changed_reference_file_buys_only_its_own_entries(walked: Project, emulated: Served) -> None:
    walked.manifest(FILES)
    for name in ("a.png", "b.png"):
        write(walked.folder, name, name)
    assert walked.build().exit_code == 0
    assert sorted(emulated.prompts()) == ["with a", "with b"]
    write(walked.folder, "b.png", "another")
    assert walked.build().exit_code == 0
    assert emulated.prompts()[2:] == ["with b"]


def test_the_very_bytes_of_a_reference_reach_the_provider(walked: Project, emulated: Served) -> None:
    walked.manifest(FILES)
    sent = {name: write(walked.folder, f"{name}.png", name) for name in ("a", "b")}
    assert walked.build().exit_code == 0
    seen = {job.order.prompt: job.order.effective["images"] for job in emulated.core.book.jobs}
    assert seen == {f"with {name}": [hashlib.sha256(data).hexdigest()] for name, data in sent.items()}


def test_apiframe_is_given_the_address_of_an_upload_and_every_picture_is_bought_once(walked: Project, emulated: Served) -> None:
    data = write(walked.folder, "a.png", "a")
    walked.manifest(
        "version: 1\nprovider: apiframe\nproviders: {apiframe: {limits: {rps: 500, concurrency: 20}}}\n"
        'assets:\n  a: {prompt: "with a, {{ n }}", matrix: {n: [1, 2]}, inputs: [refs/a.png]}\n'
    )
    assert walked.build().exit_code == 0
    assert sorted(emulated.prompts()) == ["with a, 1", "with a, 2"]
    images = {job.order.effective["image"] for job in emulated.core.book.jobs}
    address = f"{emulated.storage_url}/uploads/{hashlib.sha256(data).hexdigest()}"
    assert images in ({address}, {hashlib.sha256(address.encode()).hexdigest()}, {hashlib.sha256(data).hexdigest()})
    assert walked.build().counts == {"fresh": 2, "modified": 0}


def test_the_graph_prints_as_mermaid_and_as_dot(walked: Project) -> None:
    walked.manifest(CHAIN.replace("[1, 2, 3]", "[1]"))
    plan = walked.plan().plan
    assert list(graph_lines(plan, "mermaid")) == [
        "flowchart LR",
        '  n0["first/1<br/>generate"]',
        '  n1["second/1<br/>generate"]',
        '  n2["third/1<br/>generate"]',
        "  n0 --> n1",
        "  n1 --> n2",
        "  n0 --> n2",
    ]
    dot = list(graph_lines(plan, "dot"))
    assert (dot[0], dot[-1]) == ("digraph qwenbuild {", "}")
    assert '  "first/1" -> "second/1";' in dot
