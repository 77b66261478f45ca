"""The mutation tester itself: each rule makes its change, what is no code is left alone, and a weak test is found out."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.rules import mutants_of

ROOT = Path(__file__).parent.parent.parent

RULES = [
    ("if a:\n        f()", "if not a:\n        f()"),
    ("return [x for x in a if x]", "return [x for x in a]"),
    ("return not a", "return a"),
    ("return a < b", "return a <= b"),
    ("return a is None", "return a is not None"),
    ("return a and b", "return a or b"),
    ("return a and b", "return b"),
    ("return a + b", "return a - b"),
    ("return min(a, b)", "return max(a, b)"),
    ("return a", "return"),
    ("f(a)", "pass"),
    ("a.b = 1", "pass"),
    ("raise ValueError(a)", "pass"),
    ("return f(7)", "return f(8)"),
    ("return f(True)", "return f(False)"),
    ("return f('word')", "return f('')"),
    ("try:\n        f()\n    except OSError:\n        g()", "try:\n        f()\n    except OSError:\n        pass"),
]


def function(body: str) -> str:
    return ast.unparse(ast.parse(f"def changed(a, b, f, g):\n    {body}\n"))


@pytest.mark.parametrize(("body", "changed"), RULES)
def test_each_rule_makes_the_change_it_says(body: str, changed: str) -> None:
    made = [ast.unparse(mutant.tree()) for mutant in mutants_of(function(body))]
    assert function(changed) in made
    assert function(body) not in made


def test_two_modules_at_once_do_not_change_each_others_places() -> None:
    """Contexts and operators are one object for all trees."""
    source = "def f(a, b):\n    if a < b:\n        return [a.x, b[0]]\n    return not a and b + 1\n"
    first = mutants_of(source)
    alone = [ast.unparse(mutant.tree()) for mutant in first]
    mutants_of("def g(q):\n    q.r.s.t = [q, q, q, q, q, q, q, q, q, q, q, q]\n" * 9)
    assert [ast.unparse(mutant.tree()) for mutant in first] == alone


@pytest.mark.parametrize(
    "source",
    [
        '"""Text."""\n',
        '__all__ = ["a"]\n',
        "import os\n",
        'def f(a: "int" = 3) -> "str":\n    """Text."""\n',
        'class C:\n    """Text."""\n    x: int = 3\n',
        'def f(a):\n    g(f"{a} words")\n',
        'def f(a):\n    x: "int"\n',
    ],
)
def test_what_is_no_code_is_left_alone(source: str) -> None:
    assert [str(mutant) for mutant in mutants_of(source) if "statement deleted" not in mutant.words] == []


def test_a_mutant_is_killed_by_a_test_that_looks_and_survives_one_that_does_not() -> None:
    """`pointer_oid` has its own tests, and others that never come by it."""
    command = [sys.executable, "-m", "tests.mutants", "qwenbuild/lfs.py", "--lines", "24-32", "--least", "100", "--tests"]
    strong = subprocess.run([*command, "tests/test_lfs.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    weak = subprocess.run([*command, "tests/test_select.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert strong.returncode == 0, strong.stdout + strong.stderr
    assert "survived" not in strong.stdout
    assert weak.returncode == 1, weak.stdout + weak.stderr
    assert "not reached" in weak.stdout
