"""A plug-in of somebody else's, installed beside us: its provider is planned, paid, keyed and tested like ours."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from qwenbuild import plugins
from qwenbuild.catalog import FAMILIES, Catalog, Family, Model, family, units
from qwenbuild.checks import check_expect
from qwenbuild.errors import InputError
from qwenbuild.expand.expansion import expand
from qwenbuild.images import plugin_steps
from qwenbuild.key import judgement_key, recipe_key
from qwenbuild.manifest import grammar, load
from qwenbuild.planning.planner import settles
from qwenbuild.providers import base_url, provider_class
from qwenbuild.resolve import Resolved, resolve, settings_of
from tests.plugin.installing import ROOT, environment, install, run, uninstall

MANIFEST = """\
version: 1
provider: sketch
providers:
  sketch: {paper: cream, params: {hardness: 5}}
assets:
  hills:
    prompt: "hills, {{ n }}"
    matrix: {n: [one, two]}
"""
GROUP = "qwenbuild.providers"

Say = Callable[..., CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that draws with the plug-in."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "qwenbuild.yaml").write_text(MANIFEST, encoding="utf-8")
    return project


@pytest.fixture
def say(folder: Path, tmp_path: Path) -> Say:
    """The program in a process of its own, with what stands in `plugins` installed."""
    env = environment(install(tmp_path / "plugins"), tmp_path / "cache")
    return lambda *words: run(["-m", "qwenbuild", *words], folder, env)


def forget() -> None:
    """What this process knows of plug-ins."""
    for known in (
        plugins.installed,
        family._plugged,
        family.is_free,
        grammar._with,
        grammar.grammar,
        plugin_steps._step,
        plugin_steps._check,
    ):
        known.cache_clear()
    plugins._used.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("paid", "sketch")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose plug-ins are installed in this process."""
    path = tmp_path / "plugins"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    forget()
    yield path
    forget()


# ---------------------------------------------------------------- end to end


def keys(said: CompletedProcess[str]) -> list[str]:
    return [entry["key"] for entry in json.loads(said.stdout)["entries"]]


def test_a_plug_ins_pictures_are_planned_built_and_then_fresh(say: Say, folder: Path, tmp_path: Path) -> None:
    assert say("--version").stdout.splitlines()[1:] == [
        "  provider sketch: qwenbuild-sketch 1.0",
        "  step sepia: qwenbuild-sketch 1.0",
        "  check darkest: qwenbuild-sketch 1.0",
    ]
    assert "2 to generate" in say("plan").stdout
    first = keys(say("plan", "--json"))
    built = say("build")
    assert (built.returncode, built.stdout.split(", 0.")[0].split(",")[0]) == (0, "Done: 2 generated")
    assert sorted(path.name for path in (folder / "assets/hills").iterdir()) == ["one.png", "two.png"]
    again = say("build")
    assert (again.returncode, again.stdout) == (0, "Nothing to do: 2 entries are fresh.\n")

    install(tmp_path / "plugins", version="1.1")
    assert "qwenbuild-sketch 1.1" in say("--version").stdout
    assert "plugin: 1.0 → 1.1" in say("build", "-n").stdout
    assert set(keys(say("plan", "--json"))).isdisjoint(first)

    install(tmp_path / "plugins")
    assert say("build").stdout.startswith("Nothing to do: 2 entries are fresh")


@pytest.mark.parametrize(("name", "count"), [("sketch", 7), ("paid", 90)])
def test_the_conformance_suite_runs_against_every_provider_that_is_installed(tmp_path: Path, name: str, count: int) -> None:
    folder = install(install(tmp_path / "plugins"), name="qwenbuild-paid", points={GROUP: {"paid": "paid.rows:PAID"}})
    env = environment(folder, tmp_path / "cache")
    suite = str(ROOT / "tests/providers/test_conformance.py")
    ran = run(["-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-rN", "-k", name, suite], ROOT, env, 300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= count


def test_an_editors_schema_knows_what_is_installed(say: Say) -> None:
    blocks = json.loads(say("schema").stdout)["$defs"]
    assert blocks["ProviderBlock"]["properties"]["type"]["enum"][-1] == "sketch"
    assert blocks["ProviderBlock"]["properties"]["paper"]["description"] == "sketch: what it is drawn on"
    assert "hardness" in blocks["Params"]["properties"]
    assert "sepia" in blocks["AssetBlock"]["properties"]["steps"]["items"]["properties"]


def test_another_version_is_noticed_beside_a_small_change_and_when_it_is_gone(say: Say, folder: Path, tmp_path: Path) -> None:
    more = MANIFEST + "  sea: {prompt: sea}\n"
    (folder / "qwenbuild.yaml").write_text(more, encoding="utf-8")
    assert say("build").returncode == 0
    install(tmp_path / "plugins", version="1.1")
    (folder / "qwenbuild.yaml").write_text(more.replace("prompt: sea", "prompt: a sea"), encoding="utf-8")
    assert counts(say("plan", "--json"))["generate"] == 3
    (folder / "qwenbuild.yaml").write_text(more, encoding="utf-8")
    uninstall(tmp_path / "plugins", "qwenbuild-sketch")
    gone = say("build")
    assert gone.returncode == 2
    assert "`sketch` is no built-in type" in gone.stderr


def test_another_family_is_drawn_into_a_folder_of_its_own(say: Say, folder: Path) -> None:
    (folder / "qwenbuild.yaml").write_text("version: 1\nassets: {a: {prompt: a}}\n", encoding="utf-8")
    assert say("build", "--provider", "sketch", "--output", "draft").returncode == 0
    assert (folder / "draft/a.png").is_file()
    wrong = say("plan", "--provider", "sketsch", "--output", "draft")
    assert wrong.returncode == 2
    assert "did you mean 'sketch'?" in wrong.stderr


# ---------------------------------------------------------------- what costs nothing


def test_a_plan_with_built_in_providers_looks_for_no_plug_in(here: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/tavern", tmp_path / "tavern")
    load(tmp_path / "tavern/qwenbuild.yaml")
    assert list(Catalog.load().rows())
    assert plugins.installed.cache_info().currsize == 0


def test_a_build_with_nothing_to_do_imports_nothing_of_plug_ins(say: Say, folder: Path, tmp_path: Path) -> None:
    assert say("build").returncode == 0
    assert say("build").returncode == 0
    env = environment(tmp_path / "plugins", tmp_path / "cache")
    words = run(["-X", "importtime", "-m", "qwenbuild", "build"], folder, env)
    assert words.stdout == "Nothing to do: 2 entries are fresh.\n"
    assert not [name for name in ("plugins", "catalog", "manifest", "importlib.metadata") if name in words.stderr]


def test_our_own_entry_points_are_the_built_in_rows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = project["entry-points"][GROUP]
    assert list(named) == sorted(named, key=list(named).index)
    assert set(named) == set(FAMILIES.built_in())
    for name, value in named.items():
        module, _, attribute = value.partition(":")
        assert getattr(__import__(module, fromlist=[attribute]), attribute) is FAMILIES[name]
        assert provider_class(FAMILIES[name]).__module__.startswith("qwenbuild.providers.")


# ---------------------------------------------------------------- what is wrong


def refused(folder: Path, text: str) -> InputError:
    (folder / "qwenbuild.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(folder / "qwenbuild.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("provider: sketch\n", "provider: sketh\n", ":2:11: there is no provider", "did you mean `sketch`?"),
        ("paper: cream", "paper: crem", ":4:19: `paper` must be one of cream, white", "did you mean `cream`?"),
        ("paper: cream", "papre: cream", ":4:12: `papre` is not known here", "did you mean `paper`?"),
        ("paper: cream", "region: beijing", ":4:12: `region` is a setting of dashscope, not of sketch", "remove it"),
        ("hardness: 5", "hardness: 10", ":4:45: `hardness` must be a whole number from 1 to 9", ""),
        ("hardness: 5", "plugin: x", ":4:35: `plugin` is not known here", ""),
        ("sketch: {paper", "pen: {type: skech, paper", ":4:15: `type` must be one of", "did you mean `sketch`?"),
    ],
)
def test_mistakes_have_their_place_and_the_near_miss(
    here: Path, folder: Path, old: str, new: str, message: str, hint: str
) -> None:
    install(here)
    error = refused(folder, MANIFEST.replace(old, new))
    assert message in str(error)
    assert hint in error.problems[0].hint


def test_another_types_setting_is_refused_beside_a_plug_in(here: Path, folder: Path) -> None:
    install(here)
    more = MANIFEST.replace("assets:", "  frames: {type: apiframe, paper: white}\nassets:")
    assert "`paper` is a setting of sketch, not of apiframe" in str(refused(folder, more))


BROKEN = {
    "cannot be imported": (
        {GROUP: {"sketch": "sketch.missing:SKETCH"}},
        "the provider `sketch` of qwenbuild-sketch 1.0 cannot be loaded: ModuleNotFoundError: No module named 'sketch.missing'",
    ),
    "is no row": (
        {GROUP: {"sketch": "sketch.drawing:Sketch"}},
        "the provider `sketch` of qwenbuild-sketch 1.0 is not a row that can be used: the entry point names a type",
    ),
    "shadows a built-in": (
        {GROUP: {"sketch": "sketch.rows:SKETCH", "apiframe": "sketch.rows:SKETCH"}},
        "the provider `apiframe` of qwenbuild-sketch 1.0 has the name of a built-in provider",
    ),
    "has another name": (
        {GROUP: {"sketch": "sketch.rows:SKETCH", "pen": "sketch.rows:SKETCH"}},
        "the provider `pen` of qwenbuild-sketch 1.0 is not a row that can be used: it calls itself `sketch`",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_plug_in_that_cannot_be_used_is_named_with_its_version(here: Path, folder: Path, fault: str) -> None:
    points, sentence = BROKEN[fault]
    install(here, points=points)
    name = "pen" if fault == "has another name" else "sketch"
    error = refused(folder, MANIFEST.replace("sketch", name))
    assert f"qwenbuild.yaml:4:3: {sentence}" in str(error)
    assert error.exit_code == 2


def test_our_own_installed_entry_points_are_no_plug_ins(here: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(here, name="qwenbuild", version="0.1.0", points=project["entry-points"])
    assert plugins.installed("provider") == ()


def test_a_broken_plug_in_that_only_an_old_record_names_stops_nothing(here: Path) -> None:
    install(here, points={GROUP: {"sketch": "sketch.missing:SKETCH"}})
    assert FAMILIES.recorded("sketch") is None
    assert set(FAMILIES) == set(FAMILIES.built_in())
    assert "usd" in units()


def test_two_plug_ins_of_one_name_are_both_named(here: Path, folder: Path) -> None:
    install(here)
    install(here, name="other-sketch", version="2.5")
    error = refused(folder, MANIFEST)
    sentence = "there are two providers called `sketch`, of other-sketch 2.5 and qwenbuild-sketch 1.0; uninstall one of them"
    assert f"qwenbuild.yaml:4:3: {sentence}" in str(error)
    assert len(error.problems) == 1


def test_a_broken_plug_in_spends_nothing_and_ends_with_2(say: Say, tmp_path: Path) -> None:
    install(tmp_path / "plugins", points={GROUP: {"sketch": "sketch.missing:SKETCH"}})
    for words in (["plan"], ["build"], ["providers"], ["schema"]):
        said = say(*words)
        assert said.returncode == 2
        assert len([line for line in said.stderr.splitlines() if "qwenbuild-sketch 1.0 cannot be loaded" in line]) == 1
    assert not (tmp_path / "cache" / "journal.db").exists()
    assert say("--version").returncode == 0


def test_a_class_that_lacks_a_method_is_said_before_anything_is_sent() -> None:
    row = Family("x", "m", provider="tests.plugin.installing:Path", plugin="x-dist 3")
    with pytest.raises(InputError, match="`x` of x-dist 3 lacks `limits`, which every provider must have"):
        provider_class(row)


# ---------------------------------------------------------------- rows


def row(**changes: object) -> Family:
    model = Model("mine", "m", price={}, calls=("sync",))
    return Family(**{"name": "mine", "default": "m", "provider": "a:B", "models": (model,), **changes})  # type: ignore[arg-type]


POINT = plugins.Plugin("provider", "mine", "mine-dist", "1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provider": "a.b"}, "module:Class"),
        ({"default": "n"}, "default model `n`"),
        ({"recovery": "maybe"}, "resend, listing, none"),
        ({"unit": "My Coins"}, "small letters"),
        ({"models": (Model("mine", "m", price={"coins": 1}),)}, "a price is in `coins`"),  # type: ignore[dict-item]
        ({"settings": {"timeout": {"type": "number"}}}, "`timeout` is one that every provider has"),
        ({"settings": {"depth": {"type": "deep"}}}, "`depth` has no type"),
        ({"models": (Model("mine", "m", extra={"seed": {"type": "integer"}}),)}, "`seed` has a meaning of its own"),
        ({"models": (Model("mine", "m", extra={"ink": {"type": "colour"}}),)}, "`ink` has no type"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(changes: dict[str, object], said: str) -> None:
    assert family._fault(row(), POINT) == ""
    assert said in family._fault(row(**changes), POINT)


def test_a_version_is_in_the_key_of_what_draws_itself_and_not_of_what_asks_a_server() -> None:
    def stamped(made: Family) -> bool:
        return family.STAMP in family._stamped(made, made.models[0], POINT).extra

    assert stamped(row(regions={"": ""}))
    assert not stamped(row(regions={"": "https://api.mine.example"}))
    assert stamped(row(regions={"": "https://api.mine.example"}, draws=True))


def test_a_listing_settles_only_what_left_a_task() -> None:
    listing = row(recovery="listing", regions={"": "https://api.mine.example"})
    assert not family._stamped(listing, listing.models[0], POINT).resumable
    assert family._stamped(listing, Model("mine", "m", calls=("async",)), POINT).resumable


def test_a_rows_defaults_are_the_settings_of_a_provider_that_says_nothing(here: Path, folder: Path) -> None:
    install(here)
    loaded = load(folder / "qwenbuild.yaml")
    assert loaded.providers["sketch"].own == {"paper": "cream"}
    assert loaded.plugins == ("provider sketch: qwenbuild-sketch 1.0",)
    assert FAMILIES["sketch"].settings_of("pen", {}).own == {"paper": "white"}
    assert settings_of(loaded, "sketch").own == {"paper": "cream"}


PAID = {GROUP: {"paid": "paid.rows:PAID"}}
PAYING = """\
version: 1
provider: paid
providers:
  paid: {region: us}
  studio: {type: dashscope, region: beijing}
budget: {coins: 5}
assets:
  a: {prompt: "{{ n }}", matrix: {n: [one, two]}}
  b: {prompt: b, provider: studio}
"""


@pytest.fixture
def hosted(here: Path, folder: Path) -> Path:
    """A project of a plug-in that asks a server and is paid in a unit of its own."""
    install(here, name="qwenbuild-paid", points=PAID)
    (folder / "qwenbuild.yaml").write_text(PAYING, encoding="utf-8")
    return folder


def resolved(folder: Path) -> Resolved:
    loaded = load(folder / "qwenbuild.yaml")
    return resolve(expand(loaded).entries, loaded, today="2026-11-29", catalog=Catalog.load(loaded.models))


def test_a_plug_in_is_paid_in_its_own_unit_and_its_version_is_not_in_the_key(hosted: Path, here: Path) -> None:
    first = resolved(hosted)
    assert first.problems == ()
    assert [item.price for item in first.keyed[:2]] == [{"coins": 2}] * 2
    forget()
    install(here, name="qwenbuild-paid", version="2.0", points=PAID)
    again = resolved(hosted)
    assert [c.key for item in first.keyed for c in item.candidates] == [c.key for item in again.keyed for c in item.candidates]


def test_each_type_has_its_own_regions_and_addresses(hosted: Path) -> None:
    loaded = load(hosted / "qwenbuild.yaml")
    environ = {"PAID_API_KEY": "x"}
    assert base_url(loaded.providers["paid"], FAMILIES["paid"], environ) == "https://us.paid.example"
    assert base_url(FAMILIES["paid"].settings_of("paid", {}), FAMILIES["paid"], environ) == "https://eu.paid.example"
    error = refused(hosted, PAYING.replace("region: us", "region: beijing"))
    assert "qwenbuild.yaml:4:18: `region` of paid must be one of eu, us" in str(error)
    error = refused(hosted, PAYING.replace("region: beijing", "region: eu"))
    assert "`region` of dashscope must be one of singapore, beijing" in str(error)
    error = refused(hosted, PAYING.replace("coins: 5", "coin: 5"))
    assert "no price is in the unit" in str(error)
    error = refused(hosted, PAYING.replace("region: us", "base_url: https://elsewhere.example"))
    assert "names a host that is not paid's" in str(error)


def test_how_a_lost_answer_of_a_plug_in_is_settled_is_its_rows_word(hosted: Path) -> None:
    loaded = load(hosted / "qwenbuild.yaml")
    can = settles(loaded, Catalog.load({}))

    def lost(family: str, model: str) -> Any:
        return SimpleNamespace(provider=family, family=family, model=model, sent=time.time(), price={"coins": Decimal(2)})

    assert can(lost("paid", "oil"))
    assert not can(lost("qwen2512", "qwen-image-2512"))
    assert not can(lost("nobody", "oil"))


# ---------------------------------------------------------------- steps and checks

STEPS = """\
version: 1
assets:
  hill:
    prompt: a hill
    params: {size: "64*64"}
    expect: {darkest: 0}
    outputs:
      - {path: hill.png, steps: [{resize: {width: 32}}, {sepia: 80}, {crop: {box: [0, 0, 16, 16]}}]}
      - {path: cold.png, steps: [{sepia: {shade: cold}}]}
"""


def counts(said: CompletedProcess[str]) -> dict[str, int]:
    return {name: count for name, count in json.loads(said.stdout)["summary"].items() if isinstance(count, int) and count}


def test_another_version_of_a_step_makes_the_files_again_and_buys_nothing(say: Say, folder: Path, tmp_path: Path) -> None:
    (folder / "qwenbuild.yaml").write_text(STEPS, encoding="utf-8")
    assert say("build").returncode == 0
    assert say("build").stdout == "Nothing to do: 1 entry is fresh.\n"
    install(tmp_path / "plugins", version="1.1")
    assert counts(say("plan", "--json")) == {"derive": 1}
    again = say("build")
    assert (again.returncode, "generated" in again.stdout) == (0, False)
    assert say("build").stdout == "Nothing to do: 1 entry is fresh.\n"


def test_a_check_of_a_plug_in_judges_and_its_word_is_remembered_for_its_version(say: Say, folder: Path) -> None:
    (folder / "qwenbuild.yaml").write_text(STEPS.replace("darkest: 0", "darkest: 255"), encoding="utf-8")
    said = say("build")
    assert said.returncode == 1
    assert "a pixel is as dark as" in said.stdout + said.stderr
    assert "expected at least 255" in say("plan").stdout


def test_what_a_step_and_a_check_are_known_by_holds_their_version(here: Path) -> None:
    install(here)
    first = (plugin_steps.read_step("sepia", None, ()), check_expect({"darkest": 3}))
    forget()
    install(here, version="2.0")
    second = (plugin_steps.read_step("sepia", None, ()), check_expect({"darkest": 3}))
    assert first[0] is not None
    assert second[0] is not None
    assert dict(first[0].args) == {"percent": 100, "shade": "warm", "plugin": "qwenbuild-sketch 1.0"}
    assert recipe_key("a" * 64, (first[0],), "off") != recipe_key("a" * 64, (second[0],), "off")
    assert judgement_key(first[1], "a" * 64) != judgement_key(second[1], "a" * 64)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("{sepia: 80}", "{sepai: 80}", "there is no step", "did you mean `sepia`?"),
        ("{sepia: 80}", "sepia", "must be a mapping with one key", "write {sepia: {}}"),
    ],
)
def test_mistakes_in_a_plug_ins_step_have_their_place(
    here: Path, folder: Path, old: str, new: str, message: str, hint: str
) -> None:
    install(here)
    error = refused(folder, STEPS.replace(old, new))
    assert message in str(error)
    assert f"qwenbuild.yaml:8:{STEPS.splitlines()[7].index(old) + 1}" in str(error)
    assert hint in error.problems[0].hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sepia: 80", "sepia: 800", "sepia: percent must be a whole number from 0 to 100"),
        ("shade: cold", "shade: code", "did you mean 'cold'?"),
        ("darkest: 0", "darkest: black", "expect: darkest must be a whole number"),
        ("darkest: 0", "darkets: 0", "did you mean 'darkest'?"),
    ],
)
def test_wrong_arguments_of_plug_ins_are_refused_before_anything_is_drawn(
    here: Path, folder: Path, old: str, new: str, message: str
) -> None:
    install(here)
    (folder / "qwenbuild.yaml").write_text(STEPS.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        expand(load(folder / "qwenbuild.yaml"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("group", "name", "manifest"), [("qwenbuild.steps", "sepia", STEPS), ("qwenbuild.checks", "darkest", STEPS)]
)
def test_a_broken_step_or_check_is_named_with_its_version(
    here: Path, folder: Path, group: str, name: str, manifest: str
) -> None:
    points = {"qwenbuild.steps": {"sepia": "sketch.rows:SEPIA"}, "qwenbuild.checks": {"darkest": "sketch.rows:DARKEST"}}
    install(here, points={**points, group: {name: "sketch.gone:ROW"}})
    (folder / "qwenbuild.yaml").write_text(manifest, encoding="utf-8")
    with pytest.raises(InputError, match=rf"qwenbuild.yaml:\d+:\d+: .*`{name}` of qwenbuild-sketch 1.0 cannot be loaded"):
        expand(load(folder / "qwenbuild.yaml"))


def test_a_steps_code_that_cannot_be_imported_stops_the_build_before_anything_is_bought(
    say: Say, folder: Path, tmp_path: Path
) -> None:
    (folder / "qwenbuild.yaml").write_text(STEPS, encoding="utf-8")
    (tmp_path / "plugins/sketch/pixels.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    said = say("build")
    assert said.returncode == 2
    assert "the step `sepia` of qwenbuild-sketch 1.0 cannot be loaded: ModuleNotFoundError" in said.stderr
    assert "Done" not in said.stdout
    assert json.loads(say("spend", "--json").stdout)["attempts"] == []


def test_what_a_plug_in_raises_is_its_failure_and_not_the_pictures(here: Path) -> None:
    install(here)
    step = plugin_steps.read_step("sepia", {"percent": 3}, ())
    assert step is not None
    with pytest.raises(plugin_steps.PluginFailed, match=r"the step `sepia` of qwenbuild-sketch 1.0 failed: AttributeError"):
        plugin_steps.apply("no picture", "sepia", step.args)


# ---------------------------------------------------------------- the page


def test_the_page_shows_the_package_that_is_tested() -> None:
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    folder = ROOT / "tests/plugin"
    package = "\n".join(path.read_text(encoding="utf-8") for path in (folder / "pyproject.toml", *folder.rglob("*.py")))
    shown = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 7
    assert [block for block in shown if block.strip() not in package] == []
