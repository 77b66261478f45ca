"""What a template can say, how values print, and where its errors are shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from expand_making import asset, entries, expanded, manifest, problem, problems, prompt_of, prompt_problem
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.expand import templates
from qwenbuild.expand.expansion import expand
from qwenbuild.expand.plain_templates import plain_template
from qwenbuild.expand.slugs import EmptySlug, slug
from qwenbuild.model import Source

DATA = {
    **{"name": "Ann Lee", "n": 3, "x": 2.5, "on": True, "off": False, "list": ["b", "a"]},
    **{"map": {"k": "v", "items": 7}, "deep": {"nil": None}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts/parts").mkdir(parents=True)
    (tmp_path / "prompts/potion.j2").write_text("A {{ color }} potion.\n{% include 'parts/style.j2' %}\n")
    (tmp_path / "prompts/parts/style.j2").write_text("{{ style }}\r\nend\n")
    (tmp_path / "prompts/macros.j2").write_text("{% macro big(x) %}BIG {{ x }}{% endmacro %}{% set ink = 'blue' %}")
    (tmp_path / "prompts/base.j2").write_text("<{% block body %}base{% endblock %}>")
    (tmp_path / "prompts/bad.j2").write_text("fine\n  {{ oops + }}\n")
    (tmp_path / "prompts/undefined.j2").write_text("\ufefffine\n{% if true %}{{ stile }}{% endif %}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ on }} {{ off }} {{ n }} {{ x }} {{ 1e3 }} {{ -0.0 }}", "true false 3 2.5 1000.0 -0.0"),
        ("{{ on ~ n ~ x }}", "true32.5"),
        ("{{ [on, n, 'x'] | join(', ') }}", "true, 3, x"),
        ("{{ name | upper }} {{ on | upper }}", "ANN LEE TRUE"),
        ("{{ name|lower|title }}{{ 'aBC'|capitalize }}", "Ann LeeAbc"),
        ("{{ name | slug }}", "ann-lee"),
        ("{{ nothing | default('d') }}{{ '' | default('e', true) }}{{ deep.nil | default('f', true) }}", "def"),
        ("{{ list | first }}{{ list | last }}{{ 'xyz' | first }}{{ list | sort | join }}{{ list|reverse|join }}", "baxabab"),
        ("{{ 'abc' | reverse }} {{ list | length }} {{ 'a b c' | wordcount }}", "cba 2 3"),
        ("{{ 'a-b' | replace('-', '+') }}{{ 'aaa' | replace('a', 'b', 2) }}", "a+bbba"),
        ("{{ ' x ' | trim }}{{ 'xax' | trim('x') }}", "xa"),
        ("{{ 2.567 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }}", "2.57 3.0 2.0"),
        ("{{ '12' | int + 1 }} {{ '2.5' | float * 2 }} {{ 'x' | int(4) }} {{ 'ff' | int(0, 16) }}", "13 5.0 4 255"),
        ("{{ 3.9 | int }} {{ 7 | round }}", "3 7"),
        ("{{ ['a', 'A', 'b'] | unique | join }} {{ ['a', 'A'] | unique(true) | join }}", "ab aA"),
        ("{{ 'one two three' | truncate(9, leeway=0) }}|{{ 'abcdefghij' | truncate(4, true, '…', 0) }}", "one...|abc…"),
        ("{{ 'a\nb\n\nc' | indent(2) }}", "a\n  b\n\n  c"),
        ("{{ 'a\nb' | indent('> ', true) }}", "> a\n> b"),
        ("{{ map.items() }}", None),
        ("{{ map.items }} {{ map['k'] }} {{ map.k }} {{ map.get('z', 'q') }} {{ list[1] }} {{ 'abc'[1:] }}", "7 v v q a bc"),
        ("{% for k in {'a': 1}.items() %}{{ k[0] }}{{ k[1] }}{% endfor %}", "a1"),
        (
            "{% for i in range(3) %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{{ '' if loop.last else ',' }}{% endfor %}",
            "1a,2b,3a",
        ),
        ("{% for i in list recursive %}{{ i }}{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}", "banone"),
        ("{% for i in [[1, [2]]] recursive %}{{ loop(i) if i is not number else i }}{% endfor %}", "12"),
        ("{% set ns = namespace(n=1) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "4"),
        ("{% set t %}{{ name }}!{% endset %}{{ t }}{% with y = 1 %}{{ y }}{% endwith %}", "Ann Lee!1"),
        ("{% macro m(a, b='z') %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "1z"),
        ("{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call m(1) %}c{% endcall %}", "1c"),
        ("{% filter upper %}{{ name }}{% endfilter %}{# gone #}{% raw %}{{ x }}{% endraw %}", "ANN LEE{{ x }}"),
        ("{{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 4 }} {{ 2 * 3 }} {{ 2 - 3 }} {{ 'a' + 'b' }}", "3 3.5 3 6 -1 ab"),
        ("{{ ([1] + [2]) | length }}", "2"),
        ("{{ 'b' in list }} {{ n > 2 and not off }} {{ n is odd }}", "true true true"),
        ("{{ nothing is defined }} {{ name is string }}", "false true"),
        ("{{ 'a' if on else 'b' }} {{ dict(a=1).a }} {{ 'a,b'.split(',') | last }} {{ name.startswith('A') }}", "a 1 b true"),
        ("{% if on %}\n  yes\n  {% endif %}\nmore", "yes\nmore"),
        ("{{ name.upper().replace('ANN', 'x') }}", "x LEE"),
        ("{{ self.b() }}{% block b %}B{% endblock %}", "BB"),
        ("{{ [{'a': 2}, {'a': 1}] | sort(attribute='a') | join('', attribute='a') }}", "12"),
    ],
)
def test_templates_say_what_they_should(text: str, wanted: str | None) -> None:
    if wanted is None:
        assert prompt_problem(text, **DATA).code == "template-forbidden"
    else:
        assert prompt_of(text, **DATA) == wanted


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{{ deep.nil }}", "not-printable", "null cannot be printed"),
        ("{{ list }}", "not-printable", "a list cannot be printed"),
        ("{{ map }}", "not-printable", "print one of its keys (k, items)"),
        ("{{ list ~ 'x' }}", "not-printable", "a list"),
        ("{{ [deep.nil] | join }}", "not-printable", "null"),
        ("{{ (none) }}", "not-printable", "null"),
        ("{{ name.upper }}", "undefined", "text has no `upper`"),
        ("{{ (name.upper) }}", "not-printable", "cannot be printed"),
        ("{{ range }}", "not-printable", "cannot be printed"),
        ("{{ nothing }}", "undefined", "`nothing` is not defined"),
        ("{{ map.z }}", "undefined", "a mapping has no `z`"),
        ("{{ name * 3 }}", "template-error", "text * a number"),
        ("{{ 3 * name }}", "template-error", "a number * text"),
        ("{{ 'a' + 1 }}", "template-error", "join texts with ~"),
        ("{{ 2 ** 3 }}", "template-syntax", "**"),
        ("{{ range(1001) | length }}", "template-too-costly", "1,000"),
        ("{{ 'x' | int }}", "template-error", "give a default"),
        ("{{ '★' | slug }}", "empty-slug", "`id:`"),
        ("{{ 1 / 0 }}", "template-error", "division by zero"),
        ("{{ name | center }}", "template-syntax", "no filter 'center'"),
        ("{{ name is odder }}", "template-syntax", "did you mean 'odd'?"),
        ("{{ now() }}", "undefined", "`now`"),
        ("{{ random }}", "undefined", "`random`"),
        ("{{ [1, 2] | random }}", "template-syntax", "no filter 'random'"),
        ("{{ environ }}", "undefined", "`environ`"),
        ("{{ joiner }}", "undefined", "`joiner`"),
        ("{% for x in n %}{% endfor %}", "template-error", "a list was expected"),
        ("{{ [] | first }}", "template-error", "empty"),
        ("{% if %}", "template-syntax", ""),
        ("{% endif %}", "template-syntax", ""),
        ("{{ name", "template-syntax", ""),
    ],
)
def test_what_a_template_cannot_say_is_a_problem_at_its_place(text: str, code: str, words: str) -> None:
    found = prompt_problem(text, **DATA)
    assert (found.code, found.path) == (code, "assets.potions.prompt")
    assert words in found.message


def test_range_gives_a_thousand_numbers() -> None:
    assert prompt_of("{{ range(1000) | length }}{{ range(5, 0, -1) | join }}") == "100054321"


class Recorded(Source):
    """Remembers which line and column inside of a template were asked for."""

    def problem(
        self, code: str, message: str, path: tuple[str | int, ...], *, hint: str = "", line: int = 0, column: int = 0
    ) -> Problem:
        return Problem(code, message, Mark("qwenbuild.yaml", line, column), ".".join(map(str, path)), hint=hint)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a {{ nothing }}", 1, 6),
        ("one\ntwo {{ name }}\n {{ map.z }}", 3, 5),
        ("one\n{% if on %}\n  x {{ nothing | upper }}{% endif %}", 3, 8),
        ("one\ntwo {{ name | uper }}", 2, 15),
        ("one\n\n {{ list }}", 3, 5),
        ("one\n{% for x in list %}{{ y }}{% endfor %}", 2, 23),
        ("one\n {{ 2 ** 3 }}", 2, 2),
    ],
)
def test_an_error_stands_at_its_line_and_column_of_the_template(text: str, line: int, column: int) -> None:
    with pytest.raises(InputError) as caught:
        expand(manifest(asset(prompt=text, vars=DATA), source=Recorded()))
    assert caught.value.problems[0].mark == Mark("qwenbuild.yaml", line, column)


def test_an_undefined_name_has_its_near_miss_in_both_ways_of_rendering() -> None:
    assert prompt_problem("{{ nam }}", **DATA).hint == "did you mean `name`?"
    assert prompt_problem("{% if on %}{{ nam }}{% endif %}", **DATA).hint == "did you mean `name`?"
    assert prompt_problem("{{ map.ke }}", **DATA).hint == "did you mean `k`?"


def test_the_same_broken_template_is_reported_for_every_asset_that_has_it() -> None:
    found = problems(asset("a", prompt="{{ x | uper }}"), asset("b", prompt="{{ x | uper }}"))
    assert [each.path for each in found] == ["assets.a.prompt", "assets.b.prompt"]


def test_files_include_import_and_extend_each_other(folder: Path) -> None:
    body = "{{ super() }} {% from 'macros.j2' import big, ink %}{{ big(ink) }}"
    text = f"{{% extends 'base.j2' %}}{{% block body %}}{body}{{% endblock %}}"
    assert prompt_of(text, folder) == "<base BIG blue>"
    assert prompt_of("{% import 'macros.j2' as m %}{{ m.big(1) }}", folder) == "BIG 1"
    assert prompt_of("{% include ['none.j2', 'base.j2'] %}{% include 'none.j2' ignore missing %}", folder) == "<base>"


def test_prompt_file_is_a_template_of_the_folder(folder: Path) -> None:
    found = expanded(asset(prompt_file="potion.j2", vars={"color": "red", "style": "thick"}), folder=folder)
    assert found.entries[0].prompt == "A red potion.\nthick\nend"
    assert found.read == ("prompts/parts/style.j2", "prompts/potion.j2")


def test_the_name_of_a_prompt_file_may_be_a_template(folder: Path) -> None:
    one = asset(prompt_file="{{ kind }}.j2", matrix={"kind": ("base", "macros")}, output="{{ kind }}.png")
    assert [found.code for found in problems(one, folder=folder)] == ["empty-prompt"]
    assert entries(asset(prompt_file="{{ kind }}.j2", vars={"kind": "base"}), folder=folder)[0].prompt == "<base>"


def test_another_folder_may_hold_the_templates(folder: Path) -> None:
    (entry,) = entries(asset(prompt_file="style.j2", vars={"style": "s"}), folder=folder, templates="prompts/parts")
    assert entry.prompt == "s\nend"


@pytest.mark.parametrize(
    ("name", "mark", "words"),
    [("bad.j2", (2, 3), "unexpected"), ("undefined.j2", (2, 17), "`stile` is not defined")],
)
def test_an_error_in_a_file_stands_at_the_line_of_the_file(name: str, mark: tuple[int, int], words: str, folder: Path) -> None:
    for one in (asset(prompt_file=name), asset(prompt=f"x{{% include '{name}' %}}")):
        found = problem(one, folder=folder)
        assert found.mark == Mark(f"prompts/{name}", *mark)
        assert words in found.message
        assert found.path.startswith("assets.potions.prompt")
        assert found.snippet


def test_a_file_is_shown_with_the_folder_the_manifest_was_named_with(folder: Path) -> None:
    from dataclasses import replace

    with pytest.raises(InputError) as caught:
        expand(replace(manifest(asset(prompt_file="bad.j2"), folder=folder), file="game/qwenbuild.yaml"))
    assert str(caught.value.problems[0].mark) == "game/prompts/bad.j2:2:3"


@pytest.mark.parametrize("one", [asset(prompt_file="poton.j2"), asset(prompt="{% include 'poton.j2' %}")])
def test_a_template_that_does_not_exist_has_its_near_miss(one: object, folder: Path) -> None:
    found = problem(one, folder=folder)  # type: ignore[arg-type]
    assert (found.code, found.hint) == ("no-such-template", "did you mean `potion.j2`?")


@pytest.mark.parametrize("name", ["../x.j2", "/etc/passwd", "a/../../x", "C:/x", "..\\x", ""])
def test_a_template_stays_below_its_folder(name: str, folder: Path) -> None:
    (folder / "x.j2").write_text("SECRET")
    assert problem(asset(prompt_file="{{ name }}", vars={"name": name}), folder=folder).code == "outside-folder"


def test_a_file_that_is_not_text_is_an_error_at_the_file(folder: Path) -> None:
    (folder / "prompts/latin.j2").write_bytes(b"caf\xe9")
    found = problem(asset(prompt="{% include 'latin.j2' %}"), folder=folder)
    assert found.mark is not None
    assert found.mark.file == "prompts/latin.j2"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ice  Cream!", "ice-cream"),
        ("--a--b--", "a-b"),
        ("ÄÖÜ ß", "äöü-ß"),
        ("cafe\u0301", "café"),
        ("हिन्दी भाषा", "हिन्दी-भाषा"),
        ("字 图", "字-图"),
        ("٣ x", "٣-x"),
        ("1\ufe0f\u20e3", "1"),
        ("a_b.c", "a-b-c"),
        ("½ x²", "x"),
        ("İ", "i\u0307"),
        ("\u0301a", "a"),
    ],
)
def test_a_slug_keeps_letters_with_their_marks_and_digits_of_any_script(text: str, wanted: str) -> None:
    assert slug(text) == wanted


@given(st.text(max_size=30))
def test_a_slug_is_stable_and_has_no_loose_dashes(text: str) -> None:
    try:
        found = slug(text)
    except EmptySlug:
        return
    assert slug(found) == found
    assert "--" not in found
    assert found == found.strip("-")


PIECES = ["a ", "{{ name }}", "{{n}}", "{{ map.k }}", "{{ on }}", "{{ name | slug }}", "{", "}", "}}", "\n", "{{ x }}", "%}"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_the_quick_way_prints_what_jinja_prints(text: str) -> None:
    if plain_template(text) is None:
        return
    data = {"a": 1, **DATA}
    quick = prompt_of("." + text + ".", **data)
    assert quick == prompt_of("{% if true %}{% endif %}." + text + ".", **data)


REFUSED = ["{{ nothing }}", "{{ map.z }}", "{{ list }}", "{{ deep.nil }}", "{{ map.k.x }}", "{{ '!' | slug }}"]


@pytest.mark.parametrize("text", REFUSED)
def test_the_quick_way_refuses_what_jinja_refuses(text: str) -> None:
    quick, slow = prompt_problem(text, **DATA), prompt_problem("{% if true %}{% endif %}" + text, **DATA)
    assert (quick.code, quick.path) == (slow.code, slow.path)


def test_each_distinct_template_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(templates.Templates, "_compiled", _counting(templates.Templates._compiled, made))
    text = "{% if n > 2 %}big{% else %}small{% endif %}"
    expanded(asset("a", prompt=text, matrix={"n": (1, 2, 3)}), asset("b", prompt=text, vars={"n": 1}))
    assert made == [text]


def _counting(call: object, made: list[str]) -> object:
    def counted(self: object, text: str) -> object:
        made.append(text)
        return call(self, text)  # type: ignore[operator]

    return counted


def test_templates_that_only_print_variables_need_no_jinja() -> None:
    program = (
        "import sys; from pathlib import Path; from qwenbuild.expand.expansion import expand; from qwenbuild.model import *;"
        "expand(Manifest('m.yaml', Path('.'), assets=(Asset('a', prompt='{{ n }}', matrix={'n': (1, 2)}),)));"
        "sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_rendering_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from pathlib import Path; from qwenbuild.expand.expansion import expand; from qwenbuild.model import *;"
        "text = \"{% for k in m %}{{ k }}{% endfor %}{{ m | sort | join }}{{ ['b','a','b'] | unique | join }}\";"
        "a = Asset('a', prompt=text, vars={'m': {c: 1 for c in 'qwertyuiop'}});"
        "print(repr(expand(Manifest('m.yaml', Path('.'), assets=(a,))).entries))"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(results) == 1
