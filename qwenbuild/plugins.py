"""Plug-ins: what other distributions register by entry point, looked up when a name is asked for that is not built in.

Knows no provider, no step and no check. Nothing is looked for while only built-in names are used: that costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from qwenbuild.errors import InputError

Kind = Literal["provider", "step", "check"]
GROUPS: dict[Kind, str] = {"provider": "qwenbuild.providers", "step": "qwenbuild.steps", "check": "qwenbuild.checks"}
OURS = "qwenbuild"
"""The distribution whose entry points are no plug-ins."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of another distribution. `files` hold its metadata: they change when another version is installed."""

    kind: Kind
    name: str
    distribution: str
    version: str
    files: tuple[str, ...] = ()
    entry: Any = field(default=None, compare=False, repr=False)

    @property
    def stamp(self) -> str:
        """The distribution and its version, as messages and keys have it: `qwenbuild-sketch 1.0`."""
        return f"{self.distribution} {self.version}"

    def load(self) -> Any:
        """What the entry point names. Raises InputError, whatever the plug-in's own code raises."""
        try:
            return self.entry.load()
        except (Exception, SystemExit) as error:
            raise self.broken(f"cannot be loaded: {_words(error)}") from error

    def broken(self, what: str) -> InputError:
        """The error of a plug-in that is not as it must be."""
        return broken(self.kind, self.name, self.stamp, what)


def broken(kind: Kind, name: str, stamp: str, what: str) -> InputError:
    """The error of a plug-in that is not as it must be: one sentence, which names its distribution and version."""
    return InputError(f"the {kind} `{name}` of {stamp} {what}", code="plugin")


def _words(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def installed(kind: Kind) -> tuple[Plugin, ...]:
    """Every plug-in of one kind that is installed, by name; nothing of it is imported."""
    from importlib.metadata import entry_points

    points = [_plugin(kind, entry) for entry in entry_points(group=GROUPS[kind])]
    return tuple(sorted((each for each in points if each.distribution != OURS), key=lambda each: (each.name, each.stamp)))


def _plugin(kind: Kind, entry: Any) -> Plugin:
    name, version = entry.dist.metadata["Name"] or "?", entry.dist.version or "?"
    folder = getattr(entry.dist, "_path", None)
    files = (str(folder / "entry_points.txt"),) if folder is not None else ()
    return Plugin(kind, entry.name, name, version, files, entry)


_used: dict[tuple[Kind, str], Plugin] = {}


def find(kind: Kind, name: str, built_in: Collection[str]) -> Plugin | None:
    """The plug-in of this kind and name; None when none is installed. It counts as used from now on.

    Raises InputError where two have the name, or any has the name of something built in.
    """
    if (kind, name) in _used:
        return _used[kind, name]
    for each in installed(kind):
        if each.name in built_in:
            raise each.broken(f"has the name of a built-in {kind}; uninstall it, or have it renamed")
    matches = [each for each in installed(kind) if each.name == name]
    if len(matches) > 1:
        stamps = " and ".join(each.stamp for each in matches)
        raise InputError(f"there are two {kind}s called `{name}`, of {stamps}; uninstall one of them", code="plugin")
    if matches:
        _used[kind, name] = matches[0]
    return matches[0] if matches else None


def used() -> tuple[Plugin, ...]:
    """The plug-ins that were found under a name in this process."""
    return tuple(_used.values())


def names(kind: Kind) -> tuple[str, ...]:
    """The names of the installed plug-ins of one kind, for near misses."""
    return tuple(dict.fromkeys(each.name for each in installed(kind)))
