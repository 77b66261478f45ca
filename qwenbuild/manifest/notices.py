"""Says what is allowed in a manifest and yet hardly meant.

Knows plain values that the grammar and the rules have accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qwenbuild.manifest.findings import Finding, Path
from qwenbuild.manifest.names import VARIABLE


def notices(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Warnings: no assets, and variables whose names no template can write."""
    if not data.get("assets"):
        yield Finding("no-assets", "there are no assets, so there is nothing to build", ("assets",))
    yield from _unreachable(data.get("vars", {}), ("vars",))
    yield from _unreachable(data.get("defaults", {}).get("vars", {}), ("defaults", "vars"))
    for name, block in data.get("assets", {}).items():
        for key in ("vars", "matrix"):
            if key in block:
                yield from _unreachable(block[key], ("assets", name, key))


def _unreachable(names: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    for name in names:
        if not VARIABLE.fullmatch(name):
            yield Finding("unreachable-name", f"no template can write `{name}`", (*path, name), "use letters, digits and _")
