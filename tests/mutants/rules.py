"""Mutants of a module by rule: one small change of the syntax tree each, with the place and the words for a list.

Knows no test. Left out are docstrings, annotations, decorators, `__all__`, imports, and the words of messages.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
NEGATED = (ast.If, ast.While, ast.IfExp, ast.Assert)
NUMBERED = (ast.stmt, ast.expr, ast.ExceptHandler, ast.comprehension)
"""Nodes of their own. Operators and contexts are one object for all trees."""
SAYING = ("Problem", "Fault", "Event")
"""Calls whose texts are words for a person, as those of whatever is raised."""

Change = Callable[[ast.AST], ast.AST | None]


@dataclass(frozen=True)
class Mutant:
    """One change of a module. `owner` is the path of names to the function or the constant in which it stands, `lines` are
    those of its statement: a test that runs through one of them reaches it.
    """

    line: int
    lines: range
    owner: tuple[str, ...]
    in_function: bool
    words: str
    whole: ast.Module
    place: int
    change: Change

    def tree(self) -> ast.Module:
        """The changed module."""
        made = copy.deepcopy(self.whole)
        _Changer(self.place, self.change).visit(made)
        return ast.fix_missing_locations(made)

    def __str__(self) -> str:
        return f"{self.line}: {'.'.join(self.owner)}: {self.words}"


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module's text, in the order of its lines."""
    tree = ast.parse(source)
    found = []
    for place, node in enumerate(ast.walk(tree)):
        if isinstance(node, NUMBERED):
            node.place = place  # type: ignore[attr-defined]
    for owner, in_function, root in _owners(tree, ()):
        for node, parent, statement in _inside(root):
            place, line = getattr(node, "place", -1), getattr(node, "lineno", statement.lineno)
            for words, change in _changes(node, parent):
                found.append(Mutant(line, _lines(statement), owner, in_function, words, tree, place, change))
    return sorted(found, key=lambda mutant: mutant.line)


class _Changer(ast.NodeTransformer):
    def __init__(self, place: int, change: Change) -> None:
        self.place = place
        self.change = change

    def visit(self, node: ast.AST) -> ast.AST | None:
        if not isinstance(node, NUMBERED) or getattr(node, "place", None) != self.place:
            return self.generic_visit(node)
        made = self.change(node)
        return made if made is None else ast.copy_location(made, node)


def _owners(tree: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool, ast.stmt]]:
    """Functions of the module and of its classes, whole, and the module's constants."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield (*names, node.name), True, node
        elif isinstance(node, ast.ClassDef):
            yield from _owners(node, (*names, node.name))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and not names and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id != "__all__":
                yield (target.id,), False, node


Placed = ast.stmt | ast.ExceptHandler


def _inside(root: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST, Placed]]:
    """The nodes of a function's body or a constant's value, each with its parent and its innermost statement."""
    waiting: list[tuple[ast.AST, ast.AST, Placed]] = [(node, root, root) for node in _children(root)]
    while waiting:
        node, parent, statement = waiting.pop()
        statement = node if isinstance(node, Placed) else statement
        yield node, parent, statement
        waiting += [(child, node, statement) for child in _children(node)]


def _lines(statement: Placed) -> range:
    """The lines of a statement without those of its body."""
    body = getattr(statement, "body", None)
    end = body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from (part for part in node.body if not _is_text(part))
        return
    if isinstance(node, ast.AnnAssign):
        yield from [node.value] if node.value else []
        return
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.ClassDef)):
        return
    yield from (child for child in ast.iter_child_nodes(node) if not _is_text(child))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


# ---------------------------------------------------------------- the rules


def _changes(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, Change]]:
    yield from _of_conditions(node, parent)
    yield from _of_operators(node, parent)
    yield from _of_statements(node, parent)
    if isinstance(node, ast.Constant):
        yield from _of_constants(node, parent)


def _of_conditions(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, NEGATED) and not isinstance(node.test, ast.Constant):
        yield f"condition negated: {_short(node.test)}", _negate
    if isinstance(node, ast.comprehension):
        for index, test in enumerate(node.ifs):
            yield f"filter dropped: {_short(test)}", lambda made, index=index: _without(made, "ifs", index)  # type: ignore[misc]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and not _tests(parent, node):
        yield f"`not` dropped: {_short(node)}", lambda made: made.operand  # type: ignore[attr-defined]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        same = _tests(parent, node) and not isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        if not same:  # as the condition negated
            yield f"comparison changed: {_short(node)}", _compared
    if isinstance(node, ast.BoolOp):
        swapped = "or" if isinstance(node.op, ast.And) else "and"
        yield f"now `{swapped}`: {_short(node)}", _swapped
        for index, value in enumerate(node.values):
            yield f"operand dropped: {_short(value)}", lambda made, index=index: _without_operand(made, index)  # type: ignore[misc]


def _of_operators(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in CALCULATED:
        yield f"operator changed: {_short(node)}", _calculated
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED:
        yield f"now {CALLED[node.func.id]}(): {_short(node)}", _called


def _of_statements(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield f"returns None: {_short(node)}", lambda made: ast.Return(None)
    elif isinstance(node, (ast.Expr, ast.Raise, ast.AugAssign, ast.Continue, ast.Break, ast.Delete)):
        if not isinstance(getattr(node, "value", None), (ast.Yield, ast.YieldFrom)) or isinstance(node, ast.AugAssign):
            yield f"statement deleted: {_short(node)}", lambda made: ast.Pass()
    elif isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple):
        yield f"statement deleted: {_short(node)}", lambda made: ast.Pass()
    if isinstance(node, ast.ExceptHandler) and not all(isinstance(part, (ast.Pass, ast.Raise)) for part in node.body):
        yield f"handler emptied: {_short(node)}", _emptied


def _of_constants(node: ast.Constant, parent: ast.AST) -> Iterator[tuple[str, Change]]:
    value = node.value
    if isinstance(value, bool):
        yield f"now {not value}", lambda made: ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield f"{value} is {value + 1}", lambda made: ast.Constant(value + 1)
    elif isinstance(value, str) and value and " " not in value and not _says(parent):
        yield f"{value!r} is empty", lambda made: ast.Constant("")


def _says(parent: ast.AST) -> bool:
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in SAYING


def _tests(parent: ast.AST, node: ast.AST) -> bool:
    return isinstance(parent, NEGATED) and parent.test is node


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _negate(made: ast.AST) -> ast.AST:
    test = made.test  # type: ignore[attr-defined]
    bare = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    made.test = test.operand if bare else ast.UnaryOp(ast.Not(), test)  # type: ignore[attr-defined]
    return made


def _compared(made: ast.AST) -> ast.AST:
    made.ops = [COMPARED[type(op)]() for op in made.ops]  # type: ignore[attr-defined]
    return made


def _swapped(made: ast.AST) -> ast.AST:
    made.op = ast.Or() if isinstance(made.op, ast.And) else ast.And()  # type: ignore[attr-defined]
    return made


def _calculated(made: ast.AST) -> ast.AST:
    made.op = CALCULATED[type(made.op)]()  # type: ignore[attr-defined]
    return made


def _called(made: ast.AST) -> ast.AST:
    made.func.id = CALLED[made.func.id]  # type: ignore[attr-defined]
    return made


def _emptied(made: ast.AST) -> ast.AST:
    made.body = [ast.Pass()]  # type: ignore[attr-defined]
    return made


def _without(made: ast.AST, name: str, index: int) -> ast.AST:
    del getattr(made, name)[index]
    return made


def _without_operand(made: ast.AST, index: int) -> ast.AST:
    left = [value for at, value in enumerate(made.values) if at != index]  # type: ignore[attr-defined]
    return left[0] if len(left) == 1 else ast.BoolOp(made.op, left)  # type: ignore[attr-defined]


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else f"{text[:67]}…"
