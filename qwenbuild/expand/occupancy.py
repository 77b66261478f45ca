"""The ids and files of the whole plan: nothing may be called or written twice, on any platform.

Knows no file system: collisions are decided on the text of the paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qwenbuild.expand.axes import key_of
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.paths import collision_key, key_below, parents
from qwenbuild.model import Entry


class Origin:
    """Where an entry comes from: its asset, and the row and the combination it was made of."""

    __slots__ = ("_asset", "_row", "_values")

    def __init__(self, asset: str, row: int | None, values: Mapping[str, Any]) -> None:
        self._asset = asset
        self._row = row
        self._values = values

    def words(self) -> str:
        """Such as `potions (row 3, color red)`."""
        details = self.details()
        return f"`{self._asset}`" + (f" ({details})" if details else "")

    def details(self) -> str:
        """The row and the combination, without the asset."""
        row = [] if self._row is None else [f"row {self._row + 1}"]
        return ", ".join([*row, *(f"{name} {key_of(value)}" for name, value in self._values.items())])[:200]


class Occupied:
    """Who has which id and which file."""

    def __init__(self) -> None:
        self._ids: dict[str, Origin] = {}
        self._files: dict[str, str | tuple[str, str]] = {}  # by the path's key: the owner, with the path where that is another
        self._folders: dict[str, str] = {}

    def add(self, entry: Entry, owner: Origin) -> Fault | None:
        """Enter an entry. The fault of a duplicate names both places."""
        first = self._ids.setdefault(entry.id, owner)
        if first is not owner:
            message = f"two entries are called `{entry.id}`: {first.words()} and {owner.words()}"
            return Fault("duplicate-id", message)
        for output in entry.outputs:
            fault = self.take(output.path, entry.id)
            if fault is not None:
                return fault
        return None

    def take(self, path: str, owner: str) -> Fault | None:
        """Enter one file that `owner` wants."""
        key = collision_key(path)
        first = self._taken(key)
        if first is not None:
            return _twice(first, (path, owner))
        self._files[key] = owner if key == path else (path, owner)
        head = key.rpartition("/")[0]
        if head not in self._folders:
            for folder in (head, *parents(head)):
                self._folders.setdefault(folder, path)
        return None

    def _taken(self, key: str) -> tuple[str, str] | None:
        """The path and the owner of a file that was entered."""
        holder = self._files.get(key)
        return (key, holder) if isinstance(holder, str) else holder

    def nested(self) -> list[Fault]:
        """The faults of files that would have to be folders, too."""
        faults = []
        for folder, below in self._folders.items():
            taken = self._taken(folder)
            if taken is not None:
                message = f"`{taken[0]}` of `{taken[1]}` is a file, but `{below}` needs a folder of that name"
                faults.append(_taken(Fault("output-collision", message), taken))
        return faults

    def over(self, root: str, sources: Iterable[str]) -> list[Fault]:
        """The faults of outputs that would replace a file the manifest reads. Both are relative to its folder."""
        faults = []
        for source in sources:
            taken = self._taken(key_below(root, source) or "")
            if taken is not None:
                message = f"`{taken[0]}` of `{taken[1]}` would overwrite `{source}`, which the manifest reads"
                faults.append(_taken(Fault("output-over-source", message), taken))
        return faults


def _twice(first: tuple[str, str], second: tuple[str, str]) -> Fault:
    message = f"`{first[0]}` of `{first[1]}` and `{second[0]}` of `{second[1]}` are one file on some systems"
    if first[0] == second[0]:
        message = f"`{first[0]}` is wanted by both `{first[1]}` and `{second[1]}`"
    return _taken(Fault("output-collision", message), second)


def _taken(fault: Fault, who: tuple[str, str]) -> Fault:
    fault.taken = who
    return fault
