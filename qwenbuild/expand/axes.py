"""Axes and rows multiplied: the combinations of one asset, named, counted before they are made, some added, some left out.

Knows no template: it hands out the variables of each combination, and the slugs that name it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.expand.faults import Fault, near
from qwenbuild.expand.slugs import EmptySlug, slug
from qwenbuild.expand.values import Unprintable, kind_of, plain, printed

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """One element of the product: its variables, the slugs that name it, and each axis's key for `exclude`."""

    values: Mapping[str, Any]
    slugs: tuple[str, ...]
    keys: Mapping[str, str | None]


@dataclass(slots=True)
class Table:
    """One asset's axes and rows, and what its `include` and `exclude` say of them."""

    path: Path
    axes: Mapping[str, Sequence[Any]]
    rows: Sequence[Mapping[str, Any]] | None
    include: Sequence[Mapping[str, Any]] = ()
    exclude: Sequence[Mapping[str, Any]] = ()
    named_by_values: bool = True
    source: str = ""
    faults: list[Fault] = field(default_factory=list)

    def size(self) -> int:
        """How many entries there are before anything is left out."""
        product = 1
        for values in self.axes.values():
            product *= len(values)
        return (product + len(self.include)) * (1 if self.rows is None else len(self.rows))

    def shape(self) -> str:
        """The size in words: each axis with its length."""
        parts = [f"{name} ({len(values):,})" for name, values in self.axes.items()]
        if self.rows is not None:
            parts.append(f"rows of {self.source or 'foreach'} ({len(self.rows):,})")
        return " × ".join(parts) or "1"

    def combinations(self) -> list[Combination]:
        """The product in the order written, the last axis fastest, then what is included. Faults are kept in `faults`."""
        choices = [self._choices(name, values) for name, values in self.axes.items()]
        names = tuple(self.axes)
        combinations = [self._combined(names, picked) for picked in itertools.product(*choices)]
        return combinations + self._included(
            {name: {choice[2] for choice in chosen} for name, chosen in zip(names, choices, strict=True)}
        )

    def row_slug(self, at: int) -> str:
        """The slug that names a row. Raises Fault when nothing does."""
        assert self.rows is not None
        if self.source:
            return self._slug(self.rows[at], (*self.path, "foreach"), f"row {at + 1} of {self.source}")
        return self._slug(self.rows[at], (*self.path, "foreach", at), f"row {at + 1}")

    def left_out(self, combinations: Sequence[Combination]) -> set[tuple[int, int]]:
        """Row and combination numbers that `exclude` names. Each item has to name at least one."""
        rows: Sequence[Mapping[str, Any]] = [{}] if self.rows is None else self.rows
        out: set[tuple[int, int]] = set()
        for at, item in enumerate(self.exclude):
            try:
                out |= self._excluded(item, rows, combinations)
            except Fault as fault:
                fault.path = fault.path or (*self.path, "exclude", at)
                self.faults.append(fault)
        return out

    def _choices(self, name: str, values: Sequence[Any]) -> list[tuple[Any, str, str | None]]:
        choices = []
        for at, value in enumerate(values):
            try:
                choices.append(self._choice(value, (*self.path, "matrix", name, at), f"a value of the axis {name}"))
            except Fault as fault:
                self.faults.append(fault)
        return choices

    def _choice(self, value: Any, path: Path, what: str) -> tuple[Any, str, str | None]:
        name = "" if not self.named_by_values else self._slug(value, path, what)
        return plain(value), name, key_of(value)

    def _slug(self, value: Any, path: Path, what: str) -> str:
        try:
            return slug(printed(name_of(value)))
        except EmptySlug as error:
            fault = Fault("empty-slug", f"{what}: {error}")
        except LookupError:
            fault = Fault("unnamed", f"{what} is {kind_of(value)} without `id` or `name`, so its entries have no id")
            fault.hint = _naming(value)
        except Unprintable as error:
            fault = Fault("unnamed", f"{what}: {error}; it cannot name its entries", hint="give the asset an `id:` template")
        fault.path = path
        raise fault

    def _combined(self, names: tuple[str, ...], picked: Sequence[tuple[Any, str, str | None]]) -> Combination:
        values = {name: choice[0] for name, choice in zip(names, picked, strict=True)}
        keys = {name: choice[2] for name, choice in zip(names, picked, strict=True)} if self.exclude else {}
        return Combination(values, tuple([choice[1] for choice in picked]) if self.named_by_values else (), keys)

    def _included(self, product: Mapping[str, set[str | None]]) -> list[Combination]:
        combinations: list[Combination] = []
        seen: set[tuple[str | None, ...]] = set()
        for at, item in enumerate(self.include):
            path = (*self.path, "include", at)
            try:
                self._check_included(item, path)
                picked = [self._choice(item[name], (*path, name), f"the included {name}") for name in self.axes]
                keys = tuple(choice[2] for choice in picked)
                if keys in seen or all(key in present for key, present in zip(keys, product.values(), strict=True)):
                    raise _at(Fault("included-twice", f"{_words(item)} is a combination already"), path)
                seen.add(keys)
                combinations.append(self._combined(tuple(self.axes), picked))
            except Fault as fault:
                self.faults.append(fault)
        return combinations

    def _check_included(self, item: Mapping[str, Any], path: Path) -> None:
        if not self.axes:
            raise _at(Fault("include-without-axes", "`include` adds combinations of `matrix`, and there is no `matrix`"), path)
        for name in item:
            if name not in self.axes:
                raise _at(Fault("no-such-axis", f"`{name}` is not an axis", hint=near(str(name), self.axes)), (*path, name))
        missing = [name for name in self.axes if name not in item]
        if missing:
            raise _at(
                Fault("include-incomplete", f"an included combination names every axis; missing: {', '.join(missing)}"), path
            )

    def _excluded(
        self, item: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], combinations: Sequence[Combination]
    ) -> set[tuple[int, int]]:
        if not item:
            raise Fault("exclude-empty", "an empty item of `exclude` would leave out everything")
        columns = dict.fromkeys(name for row in rows for name in row)
        for name, value in item.items():
            if name not in self.axes and name not in columns and rows:
                raise Fault("no-such-axis", f"`{name}` is no axis and no column", hint=near(str(name), [*self.axes, *columns]))
            if isinstance(value, (Mapping, list, tuple)):
                raise Fault("exclude-not-scalar", f"`{name}`: a text or number was expected, got {kind_of(value)}; use its id")
        of_axes = [(name, key_of(value)) for name, value in item.items() if name in self.axes]
        of_rows = [(name, key_of(value)) for name, value in item.items() if name not in self.axes]
        matches = [at for at, each in enumerate(combinations) if all(each.keys[name] == key for name, key in of_axes)]
        lines = [at for at, row in enumerate(rows) if all(name in row and key_of(row[name]) == key for name, key in of_rows)]
        if rows and not (matches and lines):
            raise Fault("excludes-nothing", f"{_words(item)} leaves out nothing", hint=self._values_hint(item))
        return {(line, at) for line in lines for at in matches}

    def _values_hint(self, item: Mapping[str, Any]) -> str:
        for name, value in item.items():
            values = [key_of(each) or "" for each in self.axes.get(name, ())]
            if values and key_of(value) not in values:
                return near(str(key_of(value)), values) or f"{name} is one of {', '.join(values[:8])}"
        return ""


def name_of(value: Any) -> Any:
    """What names a row or an axis's value: `id`, else `name`, else the value itself. Raises LookupError."""
    if isinstance(value, Mapping):
        if "id" in value:
            return value["id"]
        return value["name"]
    return value


def _naming(value: Mapping[str, Any]) -> str:
    """How a row or an axis's value without a name gets one: mostly it has one, but in capitals."""
    for name in ("id", "name"):
        alike = next((key for key in value if isinstance(key, str) and key.strip().lower() == name), None)
        if alike:
            return f"`{alike}` does not name it, `{name}` would: write it in lower case, or give the asset an `id:` template"
    return "give it an `id`, or the asset an `id:` template"


def key_of(value: Any) -> str | None:
    """What `exclude` compares: the printed name, None for null; other nameless values by what they hold."""
    try:
        name = name_of(value)
        return None if name is None else printed(name)
    except (LookupError, Unprintable):
        return repr(plain(value))


def _at(fault: Fault, path: Path) -> Fault:
    fault.path = path
    return fault


def _words(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {key_of(value)}" for name, value in item.items())
