"""A good manifest becomes the nouns; the rules between keys; what is refused until it is built."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from qwenbuild import manifest as package
from qwenbuild.catalog import OVERRIDABLE
from qwenbuild.errors import InputError, Problem
from qwenbuild.images.atlas import OPTIONS
from qwenbuild.images.steps import STEPS
from qwenbuild.manifest import NOT_BUILT, find, inside, load, rules
from qwenbuild.manifest.names import STEP_KINDS
from qwenbuild.manifest.schema import AtlasBlock, ModelBlock
from qwenbuild.model import Manifest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def written(text: str, name: str = "qwenbuild.yaml") -> Path:
        Path(name).write_text(text, encoding="utf-8")
        return Path(name)

    return written


@pytest.fixture
def everything_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "NOT_BUILT", frozenset())


def problems(path: Path) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        load(path)
    return list(caught.value.problems)


def asset(lines: str, top: str = "") -> str:
    return f"version: 1\n{top}\nassets:\n  potions:\n    prompt: x\n" + "".join(
        f"    {line}\n" for line in lines.split("\n") if line
    )


WHOLE = """\
version: 1
output: pictures
provider: studio
templates: words
providers:
  studio:
    type: dashscope
    region: beijing
    mode: sync
    model: qwen-image-plus
    params: {prompt_extend: false, size: null}
    api_key_env: STUDIO_API_KEY
    limits: {rps: 0.5, concurrency: 4}
    timeout: 60
    webhook: https://example.com/hook
    base_url: https://workspace-1.ap-southeast-1.maas.aliyuncs.com/api/v1
    allow_unknown_model: true
    allow_unlisted_size: true
  gpu: {type: openai, base_url: "http://gpu.local:8091", weights: Qwen/Qwen-Image-2512}
  apiframe: {dialect: openapi}
models:
  qwen-image-plus: {price: {usd: "0.03"}, rps: 1, in_flight: 2, default_size: "1328*1328", retires: 2026-10-10}
  ours: {family: openai, price: {eur: 0.001}, sizes: [1024*1024], area: [1, 9]}
vars: {style: "thick outlines", night: no, n: 3, colors: [a, b]}
defaults:
  seed: 7
  params: {size: "1:1", negative_prompt: "blurry"}
  vars: {mood: calm}
  tags: [all]
budget: {usd: "5.00", apiframe: 60, qwen2512: 200, eur: 1.5}
provenance: marks
remote: s3://bucket/prefix
trust: keys
claims: true
remote_derived: true
assets:
  icons/potions:
    prompt: "A {{ volume }} bottle of {{ color.name }}"
    matrix:
      color: [{id: red, name: crimson}, {id: blue, name: azure}]
      volume: [small, 2, true, 1.5]
    include: [{color: {id: gold, name: golden}, volume: small}]
    exclude: [{color: red, volume: large}]
    foreach: data/potions.csv
    provider: dashscope
    model: qwen-image-plus
    params: {size: "{{ size }}", seed_of: x, guidance_scale: "{{ g }}", watermark: "false", num_inference_steps: "50"}
    seed: "{{ number }}"
    variants: 3
    inputs: [refs/knight.png, {entry: "heroes/{{ hero.id }}"}]
    id: "potions/{{ color.id }}"
    output: "icons/{{ color.id }}.png"
    steps: [{resize: {width: 256}}, {grayscale: {}}]
    expect: {alpha: {min: 0.2}, max_bytes: 200000}
    tags: [ui, "{{ color.id }}"]
  剣:
    prompt_file: sword.j2
    foreach: [{id: a, name: x}]
    outputs:
      - {as: web, path: "web/{{ id }}.webp", steps: [{resize: {width: 512}}], expect: {max_bytes: 1}}
  x-draft: {anything: goes}
atlases:
  ui: {select: "tag:ui", from: web, output: "atlas/ui.png", padding: 2, power_of_two: true, scales: [1, 2]}
""".replace("seed_of: x, ", "")


@pytest.mark.usefixtures("everything_built")
def test_a_whole_manifest_becomes_the_nouns(write: Write) -> None:
    manifest = load(write(WHOLE))
    assert (manifest.file, manifest.folder, manifest.output, manifest.provider) == (
        "qwenbuild.yaml",
        Path(),
        "pictures",
        "studio",
    )
    studio = manifest.providers["studio"]
    assert (studio.name, studio.type, studio.region, studio.rps, studio.concurrency) == (
        "studio",
        "dashscope",
        "beijing",
        0.5,
        4,
    )
    assert studio.params == {"prompt_extend": False, "size": None}
    assert manifest.providers["apiframe"].type == "apiframe"
    assert manifest.models["ours"]["price"] == {"eur": Decimal("0.001")}
    assert manifest.budget == {"usd": Decimal("5.00"), "apiframe": Decimal(60), "qwen2512": Decimal(200), "eur": Decimal("1.5")}
    assert manifest.vars == {"style": "thick outlines", "night": "no", "n": 3, "colors": ["a", "b"]}
    assert (manifest.defaults.name, manifest.defaults.seed, manifest.defaults.tags) == ("", 7, ("all",))
    assert (manifest.trust, manifest.claims, manifest.remote_derived, manifest.provenance) == ("keys", True, True, "marks")
    assert [each.name for each in manifest.assets] == ["icons/potions", "剣"]
    assert [(each.name, each.select, each.source) for each in manifest.atlases] == [("ui", "tag:ui", "web")]
    assert manifest.atlases[0].options == {"padding": 2, "power_of_two": True, "scales": [1, 2]}
    assert manifest.warnings == ()


@pytest.mark.usefixtures("everything_built")
def test_an_asset_keeps_its_order_its_templates_and_its_types(write: Write) -> None:
    potions, swords = load(write(WHOLE)).assets
    assert list(potions.matrix) == ["color", "volume"]
    assert potions.matrix["volume"] == ("small", 2, True, 1.5)
    assert potions.include == ({"color": {"id": "gold", "name": "golden"}, "volume": "small"},)
    assert potions.params == {"size": "{{ size }}", "guidance_scale": "{{ g }}", "watermark": False, "num_inference_steps": 50}
    assert (potions.seed, potions.variants, potions.foreach) == ("{{ number }}", 3, "data/potions.csv")
    assert potions.inputs == ("refs/knight.png", {"entry": "heroes/{{ hero.id }}"})
    assert potions.steps == ({"resize": {"width": 256}}, {"grayscale": {}})
    assert swords.foreach == ({"id": "a", "name": "x"},)
    assert swords.outputs
    assert swords.outputs[0]["as"] == "web"
    assert (swords.prompt, swords.seed, swords.tags) == (None, None, None)


def test_the_smallest_manifest_has_the_defaults(write: Write) -> None:
    manifest = load(write(asset("")))
    assert (manifest.output, manifest.provider, manifest.templates) == ("assets", "placeholder", "prompts")
    assert manifest.assets == (package_asset(),)
    assert (manifest.provenance, manifest.trust, manifest.claims, manifest.remote) == ("off", "lockfile", False, None)


def package_asset() -> Any:
    from qwenbuild.model import Asset

    return Asset("potions", prompt="x")


def test_anchors_and_free_keys_work(write: Write) -> None:
    assets = "assets:\n  a: {<<: *b, prompt: x}\n  b: {<<: *b, seed: 4, prompt: y}\n"
    text = f"version: 1\nx-base: &b {{seed: 3, x-why: because}}\n{assets}"
    assert [each.seed for each in load(write(text)).assets] == [3, 4]


# ---------------------------------------------------------------- not built yet

REFUSED = {
    "inputs": asset("inputs: [refs/a.png]"),
    "steps": asset("steps: [{resize: {width: 1}}]"),
    "outputs": asset("outputs: [{path: a.png}]"),
    "expect": asset("expect: {max_bytes: 1}"),
    "atlases": asset("", "atlases: {ui: {select: 'tag:ui', output: a.png}}"),
    "provenance": asset("", "provenance: marks"),
}


def test_every_feature_that_is_refused_is_known_here() -> None:
    assert set(REFUSED) >= NOT_BUILT


@pytest.mark.parametrize("feature", sorted(REFUSED))
def test_a_feature_is_refused_until_it_is_built(feature: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(REFUSED[feature])
    monkeypatch.setattr(rules, "NOT_BUILT", frozenset({feature}))
    (problem,) = problems(path)
    assert problem.code == "not-built-yet"
    assert problem.path.endswith(feature)
    assert problem.mark
    monkeypatch.setattr(rules, "NOT_BUILT", frozenset())
    assert isinstance(load(path), Manifest)


@pytest.mark.parametrize("feature", sorted(NOT_BUILT))
def test_what_the_table_names_is_refused(feature: str, write: Write) -> None:
    assert "not-built-yet" in [problem.code for problem in problems(write(REFUSED[feature]))]


def test_one_variant_and_no_provenance_are_no_feature(write: Write) -> None:
    manifest = load(write(asset("variants: 1", "provenance: off\natlases: {}")))
    assert (manifest.assets[0].variants, manifest.atlases) == (1, ())


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize("output", ["assets", "a/b", "./assets", "assets/", ".art", "bilder ü", "a..b"])
def test_an_output_root_below_the_manifest_is_fine(output: str, write: Write) -> None:
    assert load(write(asset("", f'output: "{output}"'))).output == output


@pytest.mark.parametrize(
    "output", [".", "./", "././", "..", "a/../..", "a/..", "/a", "C:/a", "C:a", "~/a", "a\\\\b", "", " ", "//h/a"]
)
def test_any_other_output_root_is_refused(output: str, write: Write) -> None:
    assert [problem.path for problem in problems(write(asset("", f'output: "{output}"')))] == ["output"]


GOOD_HOSTS = [
    ("dashscope", "https://dashscope.aliyuncs.com/api/v1"), ("dashscope", "https://dashscope-us.aliyuncs.com/api/v1"),
    ("dashscope", "https://DASHSCOPE-intl.aliyuncs.com:443/api/v1"), ("dashscope", "http://127.0.0.1:8080/api/v1"),
    ("dashscope", "http://[::1]:8080"), ("apiframe", "http://localhost:1"), ("apiframe", "https://api.apiframe.ai"),
    ("qwen2512", "https://qwen-image-2512.org"), ("openai", "http://192.168.1.7:8091"), ("openai", "https://anything.example/base"),
    ("dashscope", "https://w.cn-beijing.maas.aliyuncs.com/api/v1"), ("placeholder", "http://127.0.0.9"),
]  # fmt: skip
BAD_HOSTS = [
    ("dashscope", "https://evil.example"), ("dashscope", "https://aliyuncs.com"), ("dashscope", "https://evilaliyuncs.com"),
    ("dashscope", "https://evil-dashscope.aliyuncs.com"), ("dashscope", "https://evilmaas.aliyuncs.com"),
    ("dashscope", "https://bucket.oss-cn-beijing.aliyuncs.com"), ("dashscope", "https://maas.aliyuncs.com.evil.example"),
    ("dashscope", "http://dashscope.aliyuncs.com"), ("dashscope", "https://dashscope.aliyuncs.com:8443"),
    ("dashscope", "https://dashscope.aliyuncs.com@evil.example"), ("dashscope", "https://evil.example#dashscope.aliyuncs.com"),
    ("dashscope", "https://evil.example\\\\dashscope.aliyuncs.com"), ("apiframe", "https://dashscope.aliyuncs.com"),
    ("apiframe", "http://127.1"), ("apiframe", "http://2130706433"), ("apiframe", "http://0x7f.1"), ("apiframe", "http://0.0.0.0"),
    ("apiframe", "http://localhost.evil.example"), ("apiframe", "http://127.0.0.1.evil.example"), ("apiframe", "ftp://api.apiframe.ai"),
    ("apiframe", "api.apiframe.ai"), ("apiframe", "https://"), ("apiframe", "https://api.apiframe.ai:port"), ("apiframe", "http://[::1"),
    ("openai", "http://me:pass@gpu.local"), ("openai", "file:///etc"), ("openai", "https://h/?key=1"), ("placeholder", "https://evil.example"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "url"), GOOD_HOSTS)
def test_a_vendor_s_own_host_and_loopback_may_be_named(kind: str, url: str, write: Write) -> None:
    manifest = load(write(asset("", f'providers: {{p: {{type: {kind}, base_url: "{url}"}}}}')))
    assert (manifest.providers["p"].type, manifest.providers["p"].base_url) == (kind, url)


@pytest.mark.parametrize(("kind", "url"), BAD_HOSTS)
def test_no_other_host_may_get_a_key(kind: str, url: str, write: Write) -> None:
    found = problems(write(asset("", f'providers: {{p: {{type: {kind}, base_url: "{url}"}}}}')))
    assert [problem.code for problem in found] == ["base-url"]


@pytest.mark.parametrize(
    "remote", ["s3://b/p", "gs://b", "az://c/p", "https://h/p", "file:///srv/cache", "http://127.0.0.1:9/p"]
)
def test_a_shared_cache_may_be_there(remote: str, write: Write) -> None:
    assert load(write(asset("", f'remote: "{remote}"'))).remote == remote


@pytest.mark.parametrize(
    "remote", ["ftp://h", "http://h/p", "s3://key:secret@b", "s3://", "bucket", "https://u@h/p", "https://[::1"]
)
def test_a_shared_cache_may_not_be_there(remote: str, write: Write) -> None:
    assert [problem.code for problem in problems(write(asset("", f'remote: "{remote}"')))] == ["remote"]


@pytest.mark.parametrize(
    "name", ["sk-0123456789abcdef", "afk_0123456789abcdef", "DASHSCOPE_KEY", "_API_KEY2", "a b_API_KEY", "1_API_KEY"]
)
def test_the_name_of_a_key_s_variable_ends_in_api_key(name: str, write: Write) -> None:
    found = problems(write(asset("", f'providers: {{dashscope: {{api_key_env: "{name}"}}}}')))
    looks_like_a_key = "0123456789" in name or " " in name
    assert {problem.code for problem in found} == {"key-in-manifest" if looks_like_a_key else "api-key-env"}


@pytest.mark.parametrize("name", ["DASHSCOPE_API_KEY", "MY_2ND_API_KEY", "x_API_KEY"])
def test_such_a_name_is_fine(name: str, write: Write) -> None:
    assert (
        load(write(asset("", f"providers: {{dashscope: {{api_key_env: {name}}}}}"))).providers["dashscope"].api_key_env == name
    )


@pytest.mark.parametrize(
    "where", ["prompt: sk-0123456789abcdef0", "# Bearer abcdefghijklmnop1234", "x-note: afk_0123456789abc"]
)
def test_a_key_anywhere_in_the_file_is_refused_and_not_shown(where: str, write: Write) -> None:
    found = problems(write(f"version: 1\nassets:\n  a:\n    {where}\n" + ("" if "prompt" in where else "    prompt: x\n")))
    assert [problem.code for problem in found] == ["key-in-manifest"]
    assert "0123456789" not in found[0].snippet
    assert "abcdefghijklmnop" not in found[0].snippet


@pytest.mark.parametrize(
    "text", ["a task-force of sk-learners", "sk-", "disk-0123456789abcdef", "Bearer of the long-lost ring"]
)
def test_words_that_only_look_like_a_key_are_fine(text: str, write: Write) -> None:
    assert load(write(f'version: 1\nassets: {{a: {{prompt: "{text}"}}}}\n')).assets[0].prompt == text


@pytest.mark.parametrize("name", ["potions", "ui/icons", "a.b", "_x", "7", "剣", "é", "क्षि", "a-", "x" * 100])
def test_an_asset_may_be_called(name: str, write: Write) -> None:
    assert load(write(f'version: 1\nassets: {{"{name}": {{prompt: x}}}}\n')).assets[0].name == name


@pytest.mark.parametrize(
    "name", ["a b", "/a", "a/", "a//b", "..", ".a", "a.", "a/../b", "-a", "a:b", "a*", "", "a\\\\b", "x" * 101, "😀"]
)
def test_an_asset_may_not_be_called(name: str, write: Write) -> None:
    assert [problem.code for problem in problems(write(f'version: 1\nassets: {{"{name}": {{prompt: x}}}}\n'))] == ["name"]


@pytest.mark.parametrize(
    ("line", "value"),
    [("seed: 0", 0), ("seed: 2147483647", 2**31 - 1), ('seed: "12"', 12), ('seed: "{{ n }}"', "{{ n }}"), ("seed: 0x10", 16)],
)
def test_a_seed_may_be(line: str, value: object, write: Write) -> None:
    assert load(write(asset(line))).assets[0].seed == value


@pytest.mark.parametrize(
    "seed", ["-1", "2147483648", "1.0", "true", "null", '""', "017", '"017"', "1e3", "[1]", "seven", ".inf"]
)
def test_a_seed_may_not_be(seed: str, write: Write) -> None:
    assert [problem.path for problem in problems(write(asset(f"seed: {seed}")))] == ["assets.potions.seed"]


@pytest.mark.parametrize("size", ["1:1", "16:9", "1328*1328", "1024x768", "{{ size }}", "null", "{% if a %}1:1{% endif %}"])
def test_a_size_may_be(size: str, write: Write) -> None:
    manifest = load(write(asset(f"params: {{size: {size if size == 'null' else repr(size)}}}")))
    assert manifest.assets[0].params["size"] == (None if size == "null" else size)


@pytest.mark.parametrize(
    "params",
    [
        "size: 0*5",
        "size: 1:0",
        "size: 1024",
        "size: true",
        "watermark: 1",
        "watermark: maybe",
        "prompt_extend: no",
        "guidance_scale: .nan",
        "guidance_scale: -1",
        "num_inference_steps: 0",
        "num_inference_steps: 1.5",
        "output_format: gif",
        "negative_prompt: 5",
        "prompt_extend_mode: wild",
        "enable_thinking: '5'",
    ],
)
def test_a_param_may_not_be(params: str, write: Write) -> None:
    assert [problem.path.rpartition(".")[0] for problem in problems(write(asset(f"params: {{{params}}}")))] == [
        "assets.potions.params"
    ]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("params: {sead: 5}", "known here: size,"),
        ("params: {seed: 5}", "it stands beside `params`"),
        ("params: {Size: 5}", "did you mean `size`?"),
        ("watermark: true", "it stands under `params`: `params: {watermark: …}`"),
        ("budget: {usd: 1}", "it stands at the top level"),
        ("promptFile: x", "did you mean `prompt_file`?"),
    ],
)
def test_an_unknown_key_is_told_where_it_belongs(line: str, hint: str, write: Write) -> None:
    (problem,) = problems(write(asset(line)))
    assert problem.code == "unknown-key"
    assert problem.hint.startswith(hint)


def test_all_problems_are_said_at_once_in_the_file_s_order(write: Write) -> None:
    text = asset("seed: true\nmatrix: {a: []}\nvrs: {}\nprompt_file: y\nprompt: z", "provider: nobody\nbudgt: {}")
    with pytest.raises(InputError) as caught:
        load(write(text))
    assert [problem.code for problem in caught.value.problems] == [
        "provider", "unknown-key", "type", "empty", "unknown-key", "exclusive", "duplicate-key",
    ]  # fmt: skip
    assert "(and 6 more)" in str(caught.value)
    lines = [problem.mark.line for problem in caught.value.problems if problem.mark]
    assert lines == sorted(lines)


@pytest.mark.parametrize("more", ["", ", sed: 1"])
def test_ten_thousand_mistakes_are_a_hundred_and_quick(more: str, write: Write) -> None:
    many = "".join(f"  a{n}: {{prompt: x, provider: nobody{n}{more}}}\n" for n in range(10_000))
    path = write(f"version: 1\nproviders: {{{', '.join(f'p{n}: {{type: openai}}' for n in range(5_000))}}}\nassets:\n{many}")
    started = time.process_time()
    assert 100 <= len(problems(path)) <= 300
    assert time.process_time() - started < (3 if yaml.__with_libyaml__ else 15)


def test_ten_thousand_assets_load_in_well_under_a_second(write: Write) -> None:
    body = "".join(
        f'  a{n}:\n    prompt: "Bottle {n} of {{{{ style }}}}"\n    seed: {n}\n    params: {{size: "1:1"}}\n    tags: [a, b]\n'
        for n in range(10_000)
    )
    path = write(f"version: 1\nvars: {{style: x}}\nassets:\n{body}")
    load(path)
    started = time.process_time()
    assert len(load(path).assets) == 10_000
    assert time.process_time() - started < (4.0 if yaml.__with_libyaml__ else 10)


def test_warnings_name_what_is_hardly_meant(write: Write) -> None:
    manifest = load(write(asset("matrix: {color-name: [a]}", "vars: {my-style: x}")))
    assert [(each.code, each.path) for each in manifest.warnings] == [
        ("unreachable-name", "vars.my-style"),
        ("unreachable-name", "assets.potions.matrix.color-name"),
    ]
    assert [each.code for each in load(write("version: 1\n")).warnings] == ["no-assets"]


def test_what_a_manifest_may_correct_the_model_table_has() -> None:
    assert set(ModelBlock.__annotations__) <= OVERRIDABLE


def test_the_steps_and_the_atlas_options_are_those_of_the_image_module() -> None:
    assert set(STEP_KINDS) == set(STEPS)
    assert set(AtlasBlock.__annotations__) - {"select", "from", "output"} == {*OPTIONS, "scales"}


# ---------------------------------------------------------------- files


def test_the_manifest_is_found_by_its_default_names(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="qwenbuild init"):
        find(Path(), None)
    write("", "qwenbuild.yml")
    assert find(Path(), None) == Path("qwenbuild.yml")
    assert find(tmp_path, None) == tmp_path / "qwenbuild.yml"
    write("", "qwenbuild.yaml")
    with pytest.raises(InputError, match=r"both qwenbuild\.yaml and qwenbuild\.yml"):
        find(Path(), None)


def test_a_named_manifest_is_taken_and_nothing_else(write: Write, tmp_path: Path) -> None:
    write("", "ours.yaml")
    assert find(Path(), "ours.yaml") == Path("ours.yaml")
    assert find(Path("/nowhere"), str(tmp_path / "ours.yaml")) == tmp_path / "ours.yaml"
    for name in ("none.yaml", "."):
        with pytest.raises(InputError) as caught:
            find(Path(), name)
        assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_an_input_error(write: Write) -> None:
    os.mkfifo("pipe.yaml")
    for name in ("none.yaml", "pipe.yaml", "."):
        assert problems(Path(name))


def test_what_the_manifest_reads_stays_in_its_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "project", tmp_path / "secret.csv"
    (folder / "data").mkdir(parents=True)
    outside.touch()
    (folder / "link.csv").symlink_to(outside)
    (folder / "inner.csv").symlink_to("data")
    (folder / "loop").symlink_to("loop")
    root = folder.resolve()
    assert inside(folder, "data/a.csv") == root / "data" / "a.csv"
    assert inside(folder, "data/../a.csv") == root / "a.csv"
    assert inside(folder, "inner.csv") == root / "data"
    for bad in (
        "../secret.csv",
        "link.csv",
        "/etc/passwd",
        "~/x",
        "C:/x",
        "a\\b",
        "",
        " ",
        "data/../../secret.csv",
        "a\0b",
        "loop/x",
    ):
        with pytest.raises(ValueError, match="`"):
            inside(folder, bad)


def test_a_link_to_the_folder_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path / "link", "a.csv") == (tmp_path / "real" / "a.csv").resolve()


def test_nothing_heavy_is_imported_before_something_is_loaded() -> None:
    import subprocess
    import sys

    code = "import sys, qwenbuild.manifest; print(sorted({'yaml', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert package.NOT_BUILT is NOT_BUILT
