"""What a template may be made of: its syntax tree is checked, and every place where work can multiply gets a counter.

Knows no values: it sees the parsed template only, before anything of it is compiled or run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import cast

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from qwenbuild.nearmiss import did_you_mean, near

MOST_NODES = 10_000
"""Most nodes of one template's syntax tree; compiling more would take seconds (about 40 µs a node)."""

DEAR: dict[type[nodes.Node], int] = {nodes.Block: 20, nodes.Macro: 5, nodes.CallBlock: 5, nodes.For: 2}
"""Nodes that cost as much to compile as several others."""

MOST_TOKENS = 60_000
"""Most tokens of one template; parsing more would take seconds."""

WEIGH, EACH, SPEND, KEY, CONCAT = "%weigh", "%each", "%spend", "%key", "%concat"
"""Filters that only this module writes into a tree: a template cannot spell them."""

REFUSED: dict[type[nodes.Node], str] = {
    nodes.Pow: "the operator ** is not available in templates",
    nodes.ScopedEvalContextModifier: "{% autoescape %} is not available in templates",
    nodes.EvalContextModifier: "the evaluation context cannot be changed",
}
RESERVED = "asset"


def guarded(
    tree: nodes.Template, names: Collection[str], tests: Collection[str], name: str | None
) -> tuple[nodes.Template, int]:
    """The checked tree with its counters, and the number of its nodes. Raises TemplateSyntaxError."""
    every = list(_walk(tree, name))
    for node in every:
        _check(node, names, tests, name)
    weight = _weight(every)
    for node in every:
        _count(node)
    return tree, weight


def _walk(tree: nodes.Node, name: str | None) -> Iterator[nodes.Node]:
    waiting, seen = [tree], 0
    while waiting:
        node = waiting.pop()
        seen += DEAR.get(type(node), 1)
        if seen > MOST_NODES:
            raise TemplateSyntaxError(f"the template has more than {MOST_NODES:,} parts", node.lineno or 1, name)
        yield node
        waiting.extend(node.iter_child_nodes())


def _check(node: nodes.Node, names: Collection[str], tests: Collection[str], name: str | None) -> None:
    message = REFUSED.get(type(node))
    if isinstance(node, nodes.Filter) and node.name not in names:
        message = _unknown("filter", node.name, names)
    elif isinstance(node, nodes.Test) and node.name not in tests:
        message = _unknown("test", node.name, tests)
    elif RESERVED in _bound(node):
        message = f"{RESERVED!r} is the asset's name and cannot be set"
    if message:
        raise TemplateSyntaxError(message, node.lineno or 1, name)


def _unknown(kind: str, name: str, names: Collection[str]) -> str:
    suggestion = did_you_mean(near(name, [candidate for candidate in names if candidate[0] != "%"]), quote="'")
    return f"there is no {kind} {name!r}" + (f"; {suggestion}" if suggestion else "")


def _bound(node: nodes.Node) -> list[str]:
    if isinstance(node, nodes.Name):
        return [node.name] if node.ctx != "load" else []
    if isinstance(node, nodes.Macro):
        return [node.name]
    if isinstance(node, nodes.Import):
        return [node.target]
    if isinstance(node, nodes.FromImport):
        return [item if isinstance(item, str) else item[1] for item in node.names]
    return []


def _weight(every: Collection[nodes.Node]) -> int:
    return len(every) + sum(len(node.data) >> 4 for node in every if isinstance(node, nodes.TemplateData))


def _inside(body: list[nodes.Node]) -> int:
    return _weight([node for part in body for node in _walk(part, None)])


def _count(node: nodes.Node) -> None:
    if isinstance(node, nodes.For):
        weight = 1 + _inside([*node.body, *([node.test] if node.test else [])])
        node.iter = _filter(cast(nodes.Expr, node.iter), EACH, nodes.Const(weight, lineno=node.lineno))
        if node.recursive:
            node.body.insert(0, _spend(weight, node))
    elif isinstance(node, (nodes.Macro, nodes.CallBlock, nodes.Block)):
        node.body.insert(0, _spend(_inside(node.body), node))
    elif isinstance(node, nodes.Compare):
        node.expr = _filter(node.expr, WEIGH)
        for operand in node.ops:
            operand.expr = _filter(operand.expr, WEIGH)
    elif isinstance(node, nodes.Test):
        node.node = _filter(node.node, WEIGH)
        node.args = [_filter(argument, WEIGH) for argument in node.args]
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        node.node = _filter(node.node, WEIGH)
    elif isinstance(node, nodes.Pair):
        node.key = _filter(node.key, KEY)
    elif isinstance(node, nodes.Concat):
        node.nodes = [_filter(nodes.List(list(node.nodes), lineno=node.lineno), CONCAT)]


def _filter(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _spend(weight: int, node: nodes.Node) -> nodes.ExprStmt:
    return nodes.ExprStmt(_filter(nodes.Const(weight, lineno=node.lineno), SPEND), lineno=node.lineno)
