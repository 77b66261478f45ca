"""Renders every hostile template in this one process, which may hold 1 GB and open nothing outside its folder.

Run as a program with a folder; prints a JSON object: name to seconds of processor time, outcome and message.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

DOUBLING = (
    "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(1000) %}{% set ns.x = ns.x OP ns.x %}{% endfor %}{{ ns.x|length }}"
)
LOOPS = "{% for a in range(1000) %}" * 4 + "x" + "{% endfor %}" * 4
DEEP_LISTS = (
    "{% set ns = namespace(a=[1], b=[1]) %}"
    "{% for i in range(200) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)
DEEP_TUPLES = "{% set ns = namespace(a=(1,)) %}{% for i in range(200) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}"
DEEP = (
    "{% set ns = namespace(a=(1,), b=(1,)) %}{% for i in range(90) %}{% for j in range(90) %}"
    "{% set ns.a = (ns.a,) %}{% set ns.b = (ns.b,) %}{% endfor %}{% endfor %}"
)
LONG_LOOP = "{% set ns = namespace(n=0) %}{% for i in range(1000) %}{% for j in range(1000) %}STEP{% endfor %}{% endfor %}"
SQUARE = "{% set ns = namespace(x=9) %}{% for i in range(1000) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}"

COSTLY = {
    "nested loops": LOOPS,
    "a loop of a million empty rounds": LONG_LOOP.replace("STEP", ""),
    "doubling by ~": DOUBLING.replace("OP", "~"),
    "doubling by +": DOUBLING.replace("OP", "+"),
    "doubling by replace": "{% set ns = namespace(x='a') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}{{ ns.x|length }}",
    "doubling by the method replace": "{% set ns = namespace(x='a') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}{{ ns.x|length }}",
    "doubling by set": "{% set a0 = 'xx' %}" + "".join(f"{{% set a{i + 1} = a{i} ~ a{i} %}}" for i in range(40)) + "{{ a40 }}",
    "doubling by blocks of set": "{% set a %}xxxxxxxx{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40 + "{{ a }}",
    "doubling by join": "{% set ns = namespace(x='x') %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x]|join('y') %}{% endfor %}",
    "doubling by a list": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubling by a macro": "{% macro m(n, t) %}{% if n %}{{ m(n - 1, t ~ t) }}{% else %}{{ t }}{% endif %}{% endmacro %}"
    "{{ m(30, 'x') }}",
    "a tree of macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(35) }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "two macros that call each other": "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "a caller that calls itself": "{% macro m() %}{{ caller() }}{% endmacro %}"
    "{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
    "a block that calls itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "a loop that calls itself": "{% set l = [[1]] %}{% for x in l recursive %}{{ loop(l) }}{% endfor %}",
    "a file that includes itself": "{% include 'self.j2' %}",
    "a file that extends itself": "{% extends 'extends.j2' %}",
    "two files that include each other": "{% include 'one.j2' %}",
    "a tree of includes": "{% include 'tree.j2' %}",
    "many imports": "{% for i in range(1000) %}{% for j in range(1000) %}{% include 'small.j2' %}{% endfor %}{% endfor %}",
    "a long text printed often": "{% set t = 'x' ~ 'y' %}{% for i in range(1000) %}{{ long }}{% endfor %}",
    "a long text in a macro": "{% macro m() %}{% for i in range(1000) %}{{ long }}{% endfor %}{% endmacro %}{% set x = m() %}",
    "a long text compared often": LONG_LOOP.replace("STEP", "{% if long == other %}{% endif %}"),
    "a long text searched often": LONG_LOOP.replace("STEP", "{% if 'y' in long %}{% endif %}"),
    "a long text reversed often": LONG_LOOP.replace("STEP", "{% set y = long[::-1] %}"),
    "a long text split often": LONG_LOOP.replace("STEP", "{% set y = long.split('x') %}"),
    "a long text upper often": LONG_LOOP.replace("STEP", "{% set y = long|upper %}"),
    "a long text tested often": LONG_LOOP.replace("STEP", "{% if long is upper %}{% endif %}"),
    "squaring": SQUARE,
    "a shift by products": SQUARE.replace("ns.x * ns.x", "ns.x * 1000000007"),
    "a factorial by sums": SQUARE.replace("ns.x * ns.x", "ns.x + ns.x"),
    "an integer of hexadecimal digits": "{{ ('f' ~ long)|replace('x', 'f')|int(0, 16) }}",
    "rounding to a billion digits": "{{ 5|round(-1000000000) }}{{ 5.5|round(1000000000) }}",
    "a billion spaces by indent": "{{ 'a\nb'|indent(1000000000) }}",
    "many lines indented": "{{ (long|replace('x', '\n'))|indent(200000) }}",
    "a huge range": "{{ range(100000000)|length }}",
    "a huge range backwards": "{{ range(100000000, 0, -1)|length }}",
    "lists compared that share their parts": DEEP_LISTS + "{{ ns.a == ns.b }}",
    "lists sorted that share their parts": DEEP_LISTS + "{{ [ns.a, ns.b]|sort|length }}",
    "lists searched that share their parts": DEEP_LISTS + "{{ ns.a in [ns.b] }}",
    "tuples as keys that share their parts": DEEP_TUPLES + "{{ {ns.a: 1}|length }}",
    "deep tuples as keys": DEEP + "{{ [ns.a]|unique|length }}",
    "deep arguments as keys": "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = varargs %}{% endmacro %}"
    "{% for i in range(90) %}{% for j in range(90) %}{% set x = m(ns.a) %}{% endfor %}{% endfor %}{{ {}.get(ns.a, 1) }}",
    "deep lists compared": DEEP + "{{ [ns.a] == [ns.b] }}",
    "a long text made a title": "{% for i in range(1000) %}{% set y = words|title %}{% endfor %}",
    "a long text made a slug": "{% for i in range(1000) %}{{ words|slug }}{% endfor %}",
    "tuples made unique that share their parts": DEEP_TUPLES + "{{ [ns.a, ns.a]|unique|length }}",
    "a loop that looks for changes": DEEP_LISTS + "{% for x in [ns.a, ns.b] %}{{ loop.changed(x) }}{% endfor %}",
    "a great many parts": "{{ [" + "1," * 100_000 + "]|length }}",
    "a great many statements": "{% if a %}{% endif %}" * 30_000,
    "one row of a great many loops": ("{% for i in range(1000) %}" + "{{ i }}" * 400 + "{% endfor %}") * 10,
}
BROKEN = {
    "parentheses without end": "{{ " + "(" * 50_000,
    "deep parentheses": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "deep lists": "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "deep signs": "{{ " + "-" * 5_000 + "1 }}",
    "deep negations": "{{ " + "not " * 5_000 + "1 }}",
    "a chain of sums": "{{ " + "1+" * 5_000 + "1 }}",
    "a chain of filters": "{{ 'a'" + "|upper" * 5_000 + " }}",
    "a chain of names": "{{ a" + ".b" * 5_000 + " }}",
    "deep conditions": "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "deep loops": "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
    "an integer of many digits": "{{ " + "9" * 100_000 + " }}",
    "digits and underscores": "{{ " + "1_" * 50_000 + "x }}",
    "an open comment": "{#" * 50_000,
    "an open raw": "{% raw %}" * 20_000,
    "an open text": "{{ '" + "\\'" * 50_000,
}
REFUSED = {
    "power": "{{ 10 ** 10 ** 7 }}",
    "text times number": "{{ 'x' * 2000000000 }}",
    "list times number": "{{ [1] * 2000000000 }}",
    "percent": "{{ '%2000000000d' % 1 }}",
    "format": "{{ '{:>2000000000}'.format(1) }}",
    "format_map": "{{ '{a}'.format_map({'a': 1}) }}",
    "format of an attribute": "{{ '{0.__class__}'.format('') }}",
    "ljust": "{{ 'x'.ljust(2000000000) }}",
    "center": "{{ 'x'|center(2000000000) }}",
    "zfill": "{{ 'x'.zfill(2000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(2000000000) }}",
    "encode": "{{ 'x'.encode() }}",
    "translate": "{{ 'x'.translate({120: 'y'}) }}",
    "join of a text": "{{ ','.join(['a']) }}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "class by item": "{{ ''['__class__'] }}",
    "class by attr": "{{ ''|attr('__class__') }}",
    "class by map": "{{ [1]|map(attribute='__class__')|first }}",
    "class by join": "{{ ['']|join(attribute='__class__') }}",
    "class by sort": "{{ ['']|sort(attribute='__class__')|first }}",
    "class by unique": "{{ ['']|unique(attribute='__class__.__mro__')|first }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "function of a macro": "{% macro m() %}{% endmacro %}{{ m._func }}",
    "globals of a function": "{{ range.__globals__ }}",
    "globals of dict": "{{ dict.func.__globals__ }}",
    "arguments of dict": "{{ dict.args }}",
    "environment of a module": "{% import 'small.j2' as m %}{{ m._TemplateModule__x }}{{ m.__dict__ }}",
    "context of self": "{{ self._TemplateReference__context }}{% block a %}{% endblock %}",
    "context of a loop": "{% for i in [1] %}{{ loop._iterator }}{% endfor %}",
    "init of a namespace": "{{ namespace.__init__.__globals__ }}",
    "attributes of a namespace": "{% set n = namespace() %}{{ n._Namespace__attrs }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "undefined's environment": "{{ nothing._undefined_hint }}",
    "calling a value": "{{ 'x'() }}",
    "autoescape": "{% autoescape true %}{{ 'x' }}{% endautoescape %}",
    "a file above": "{% include '../secret.txt' %}",
    "an absolute file": "{% include '/etc/passwd' %}",
    "a link out of the folder": "{% include 'link.j2' %}",
    "a large file": "{% include 'large.j2' %}",
    "a bad import": "{% from 'small.j2' import nothing %}{{ nothing }}",
    "changing a list": "{{ [1].append(2) }}",
    "changing a mapping": "{{ {}.update({}) }}",
    "pprint": "{{ [1]|pprint }}",
    "debug": "{% debug %}",
}
FILES = {
    "self.j2": "{% include 'self.j2' %}",
    "extends.j2": "{% extends 'extends.j2' %}",
    "one.j2": "{% include 'two.j2' %}",
    "two.j2": "{% include 'one.j2' %}",
    "tree.j2": "{% if true %}{% include 'tree.j2' %}{% include 'tree.j2' %}{% endif %}",
    "small.j2": "{% macro m() %}x{% endmacro %}",
    "large.j2": "x" * 300_000,
}


def prepare(folder: Path) -> None:
    (folder / "prompts").mkdir()
    for name, text in FILES.items():
        (folder / "prompts" / name).write_text(text)
    outside = folder.parent / "outside.txt"
    outside.write_text("SECRET")
    (folder.parent / "secret.txt").write_text("SECRET")
    (folder / "prompts/link.j2").symlink_to(outside)


def limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000, 1_000_000_000))


def main(folder: Path) -> dict[str, Any]:
    from qwenbuild.errors import InputError
    from qwenbuild.expand.expansion import expand
    from qwenbuild.model import Asset, Manifest

    def render(text: str) -> tuple[str, str]:
        one = Asset(
            "a", prompt=text, vars={"long": "x" * 200_000, "other": "x" * 199_999 + "y", "a": 1, "words": "é " * 99_999}
        )
        try:
            return "rendered", expand(Manifest("qwenbuild.yaml", folder, assets=(one,))).entries[0].prompt[:100]
        except InputError as error:
            return error.code, error.problems[0].message

    render("{% include 'small.j2' %}{{ nothing }}{{ 1 | upper }}")
    watch(folder)
    results = {}
    for name, text in {**COSTLY, **BROKEN, **REFUSED}.items():
        start = time.process_time()
        outcome, message = render(text)
        results[name] = [time.process_time() - start, outcome, message]
    return results


def watch(folder: Path) -> None:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and not str(args[0]).startswith(str(folder)):
            raise SystemExit(f"a template opened {args[0]!r}")
        if event.startswith(("os.system", "subprocess", "socket", "os.exec", "os.spawn")):
            raise SystemExit(f"a template did {event} {args!r}")

    sys.addaudithook(hook)


if __name__ == "__main__":
    limit()
    json.dump(main(Path(sys.argv[1])), sys.stdout)
