"""What the house is measured by: circles of imports, inner imports, vendors' names, class names, one way for each thing.

`python -m tests.house [-v]` prints the figures; `tests/test_floors.py` fails on those that have a goal. Knows no behaviour.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "qwenbuild"
VENDORS = re.compile(r"dashscope|alibaba|aliyun|apiframe|qwen[-_]?image[-_]?2512|qwen2512|2512\.org|model studio", re.I)
NEAR_MISS = re.compile(r"get_close_matches|['\"`]did you mean|Did you mean")
LARGEST = 400


@dataclass(frozen=True)
class Import:
    """One import of a module of the package, by a module of the package. `inner`: inside a function."""

    importer: str
    imported: str
    line: int
    inner: bool


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return {_name(path, package): path for path in sorted(package.rglob("*.py"))}


def _name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(package: Path = PACKAGE) -> list[Import]:
    """Every import inside the package, inner ones and those for types, too."""
    known = modules(package)
    return [found for name, path in known.items() for found in _imports(name, path, known)]


def _imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(node) for scope in ast.walk(tree) if isinstance(scope, _SCOPES) for node in ast.walk(scope)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in _targets(node, known):
                yield Import(name, target, node.lineno, id(node) in inner)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _targets(node: ast.Import | ast.ImportFrom, known: dict[str, Path]) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name in known}
    module = node.module or ""
    if module.partition(".")[0] != "qwenbuild":
        return set()
    made = {f"{module}.{alias.name}" if f"{module}.{alias.name}" in known else module for alias in node.names}
    return made & known.keys()


def circles(package: Path = PACKAGE) -> list[list[str]]:
    """Modules that import each other, directly or around corners; the largest circle first."""
    graph: dict[str, set[str]] = defaultdict(set)
    for each in imports(package):
        if each.importer != each.imported:
            graph[each.importer].add(each.imported)
    return sorted((sorted(part) for part in _components(graph) if len(part) > 1), key=len, reverse=True)


def _components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    parts: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            parts.append(stack[stack.index(node) :])
            del stack[stack.index(node) :]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return parts


def inner_imports(package: Path = PACKAGE) -> list[tuple[str, int]]:
    """Where a function imports: module and line, libraries counted as well."""
    made = []
    for name, path in modules(package).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = {n for scope in ast.walk(tree) if isinstance(scope, _SCOPES) for n in ast.walk(scope)}
        made += sorted((name, node.lineno) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return made


def naming_vendors(package: Path = PACKAGE) -> list[str]:
    """Modules outside `providers`, `emulator` and the catalog that name a vendor, in code or in words."""
    return [
        name
        for name, path in modules(package).items()
        if name.split(".")[1:2] not in (["providers"], ["emulator"], ["catalog"])
        and VENDORS.search(path.read_text(encoding="utf-8"))
    ]


def doubled_classes(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Public class names that are defined more than once, with the modules that define them."""
    where: dict[str, list[str]] = defaultdict(list)
    for name, path in modules(package).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(name)
    return {name: places for name, places in sorted(where.items()) if len(places) > 1}


def holding(pattern: str | re.Pattern[str], package: Path = PACKAGE) -> list[str]:
    """Modules whose code matches."""
    return [name for name, path in modules(package).items() if re.search(pattern, path.read_text(encoding="utf-8"))]


def long_modules(package: Path = PACKAGE) -> dict[str, int]:
    """Modules of more than 400 lines."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(package).items()}
    return {name: count for name, count in lines.items() if count > LARGEST}


def main() -> None:
    """Print the table; with -v what stands behind each figure."""
    found = circles()
    inner = inner_imports()
    doubled = doubled_classes()
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in modules().values())
    rows: list[tuple[str, str, str, object]] = [
        ("import circles (files in each)", f"{len(found)} ({', '.join(str(len(c)) for c in found)})", "0", found),
        ("inner imports", str(len(inner)), "60 or fewer", Counter(name for name, _ in inner).most_common()),
        ("files outside providers, emulator and catalog that name a vendor", str(len(naming_vendors())), "0", naming_vendors()),
        ("public class names defined twice or more", str(len(doubled)), "5 or fewer", doubled),
        ("files with os.replace", str(len(holding(r"os\.replace\("))), "1", holding(r"os\.replace\(")),
        ("files with near-miss wording", str(len(holding(NEAR_MISS))), "1", holding(NEAR_MISS)),
        ("modules over 400 lines", str(len(long_modules())), "0", long_modules()),
        ("files, lines", f"{len(modules())}, {lines}", "fewer", ""),
    ]
    for title, value, goal, behind in rows:
        print(f"{title:<66} {value:<22} goal: {goal}")
        if "-v" in sys.argv:
            print(f"    {behind}")


if __name__ == "__main__":
    main()
