"""The graph of entries that build on others, and of atlases, as Mermaid or DOT; each with the verdict of the plan.

Decides nothing; entries that stand alone are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from qwenbuild.model import Plan, Step

FORMATS = ("mermaid", "dot")


def graph_lines(plan: Plan, format: str) -> Iterator[str]:
    """The lines of the graph. `format` is one of FORMATS."""
    edges = [(ref.entry or ref.file or "", step.id) for step in plan.steps for ref in step.keyed.entry.inputs]
    sheets = {f"atlas:{atlas.name}": atlas.verdict.value for atlas in plan.atlases}
    edges += [(id, f"atlas:{atlas.name}") for atlas in plan.atlases for id in dict.fromkeys(id for id, _ in atlas.members)]
    names = {name for edge in edges for name in edge}
    steps = [step for step in plan.steps if step.id in names]
    files = sorted(names - {step.id for step in steps} - sheets.keys())
    return _mermaid(steps, files, sheets, edges) if format == "mermaid" else _dot(steps, files, sheets, edges)


def _mermaid(
    steps: Sequence[Step], files: Sequence[str], sheets: Mapping[str, str], edges: Sequence[tuple[str, str]]
) -> Iterator[str]:
    number = {name: f"n{at}" for at, name in enumerate([*(step.id for step in steps), *files, *sheets])}
    yield "flowchart LR"
    for step in steps:
        yield f'  {number[step.id]}["{_escaped(step.id)}<br/>{step.verdict.value}"]'
    for name, verdict in sheets.items():
        yield f'  {number[name]}[["{_escaped(name)}<br/>{verdict}"]]'
    for name in files:
        yield f'  {number[name]}[/"{_escaped(name)}"/]'
    for start, end in edges:
        yield f"  {number[start]} --> {number[end]}"


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c in " /._-" else f"#{ord(c)};" for c in text)


def _dot(
    steps: Sequence[Step], files: Sequence[str], sheets: Mapping[str, str], edges: Sequence[tuple[str, str]]
) -> Iterator[str]:
    yield "digraph qwenbuild {"
    yield "  rankdir=LR;"
    for step in steps:
        label = json.dumps(f"{step.id}\n{step.verdict.value}", ensure_ascii=False)
        yield f"  {_quoted(step.id)} [shape=box, label={label}];"
    for name, verdict in sheets.items():
        label = json.dumps(f"{name}\n{verdict}", ensure_ascii=False)
        yield f"  {_quoted(name)} [shape=box3d, label={label}];"
    for name in files:
        yield f"  {_quoted(name)} [shape=note];"
    for start, end in edges:
        yield f"  {_quoted(start)} -> {_quoted(end)};"
    yield "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
