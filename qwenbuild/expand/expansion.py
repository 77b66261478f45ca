"""Manifest to entries: every asset's combinations rendered, then the whole plan's ids and files checked.

Knows no key, no price and no network.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.axes import Combination, Table
from qwenbuild.expand.blueprint import Blueprint
from qwenbuild.expand.budget import NOTHING, Budget, BudgetExceeded, Spent
from qwenbuild.expand.columns import reached_as
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.fields import RESERVED, Fields, reserved
from qwenbuild.expand.findings import Findings, first
from qwenbuild.expand.idle_axes import idle_axes, picture_of
from qwenbuild.expand.inputs import References, check_graph, check_sets
from qwenbuild.expand.occupancy import Occupied, Origin
from qwenbuild.expand.outputs import place_of
from qwenbuild.expand.palettes import Palettes
from qwenbuild.expand.paths import guard_path
from qwenbuild.expand.prints import KnownEntries, Prints
from qwenbuild.expand.rows import Data
from qwenbuild.expand.templates import Templates
from qwenbuild.images.atlas import check_options, sheet_names
from qwenbuild.model import Asset, Atlas, Entry, Manifest
from qwenbuild.nearmiss import did_you_mean

MOST_ENTRIES = 1_000_000
MOST_FAULTY = 60
"""Faulty combinations of one asset after which it is left: the rest would only repeat them."""


@dataclass(frozen=True)
class Expansion:
    """The entries in the manifest's order, the warnings, and every file that was read, relative to the manifest's folder.

    `palettes` maps a palette's digest to its file. `prints` are those of each asset's entries, one after the other, where
    they were asked for; `sizes` counts the rows and combinations of each asset.
    """

    entries: tuple[Entry, ...]
    warnings: tuple[Problem, ...]
    read: tuple[str, ...]
    palettes: Mapping[str, str] = field(default_factory=dict)
    spent: Spent = NOTHING
    prints: Mapping[str, bytes] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def by_asset(self) -> Mapping[str, list[Entry]]:
        """The entries of each asset, in order."""
        entries: dict[str, list[Entry]] = {}
        for entry in self.entries:
            entries.setdefault(entry.asset, []).append(entry)
        return entries


class UnsureError(InputError):
    """What is known of some entries is not enough to say what all of them would give."""


def expand(
    manifest: Manifest,
    beside: Spent = NOTHING,
    known: Mapping[str, KnownEntries] | None = None,
    *,
    prints: bool = False,
) -> Expansion:
    """All entries of a manifest. `beside` is what other entries, which are not expanded, came to: the bounds hold for all.

    `known` are assets of which some entries alone are expanded. `prints`: those of the entries are asked for.

    Raises InputError with the problems of all assets at once, the first fifty and how many more.
    """
    return _Expander(manifest, beside, known or {}, prints=prints).run()


class _Expander:
    """One expansion: the manifest's templates, data and references, and what was found so far."""

    def __init__(self, manifest: Manifest, beside: Spent, known: Mapping[str, KnownEntries], *, prints: bool) -> None:
        self._manifest = manifest
        self._beside = beside
        self._known = known
        self._prints: dict[str, bytes] | None = {} if prints else None
        self._budget = Budget()
        self._templates = Templates(manifest, self._budget)
        self._findings = Findings(manifest, self._templates)
        self._data = Data(manifest)
        self._references = References(manifest.folder)
        self._palettes = Palettes(manifest.folder)
        self._occupied = Occupied()
        self._entries: list[Entry] = []

    def run(self) -> Expansion:
        tables = [(asset, table) for asset in self._manifest.assets if (table := self._table(asset)) is not None]
        if self._counted(tables):
            try:
                self._budget.without(self._beside)
                for asset, table in tables:
                    self._expand(asset, table)
            except BudgetExceeded as error:
                self._findings.fault(Fault("template-too-costly", str(error)))
        self._check_whole()
        self._findings.stop()
        palettes = {digest: path for path, digest in self._palettes.read_files().items()}
        sizes = {asset.name: table.size() for asset, table in tables}
        size = sum(sizes.values())
        spent = self._budget.spent(self._beside.combinations + size, self._beside.entries + size)
        read, warnings = tuple(sorted(self._read())), tuple(self._data.warnings)
        return Expansion(tuple(self._entries), warnings, read, palettes, spent, self._prints or {}, sizes)

    def _table(self, asset: Asset) -> Table | None:
        fields = Fields(self._manifest, asset)
        matrix, foreach = fields.own("matrix"), fields.own("foreach")
        axes = matrix.value if matrix else {}
        try:
            for name, values in axes.items():
                if name == RESERVED:
                    raise reserved((*fields.path, "matrix", name))
                if not values:
                    raise _at(Fault("empty-axis", f"the axis `{name}` has no values"), (*fields.path, "matrix", name))
            rows = None if foreach is None else self._data.rows(foreach.value, foreach.path, axes)
        except Fault as fault:
            self._findings.fault(fault)
            return None
        except InputError as error:
            self._findings.error(error)
            return None
        source = foreach.value if foreach is not None and isinstance(foreach.value, str) else ""
        named_by_values = fields.own("id") is None
        return Table(fields.path, axes, rows, asset.include, asset.exclude, named_by_values, source)

    def _counted(self, tables: Sequence[tuple[Asset, Table]]) -> bool:
        sizes = [table.size() for _, table in tables]
        for size, (asset, table) in zip(sizes, tables, strict=True):
            if size > MOST_ENTRIES:
                message = f"`{asset.name}` has {size:,} entries, {MOST_ENTRIES:,} are allowed: {table.shape()}"
                self._findings.fault(
                    _at(Fault("too-many-entries", message), (*table.path, "matrix" if table.axes else "foreach"))
                )
        total = self._beside.combinations + sum(sizes)
        if total > MOST_ENTRIES and max(sizes, default=0) <= MOST_ENTRIES:
            largest = sorted(zip(sizes, tables, strict=True), key=lambda pair: -pair[0])
            names = first(f"{asset.name} {size:,} = {table.shape()}" for size, (asset, table) in largest)
            message = f"the assets have {total:,} entries together, {MOST_ENTRIES:,} are allowed: {names}"
            self._findings.fault(_at(Fault("too-many-entries", message), ("assets",)))
        self._budget.expect(min(sum(sizes), MOST_ENTRIES))
        return total <= MOST_ENTRIES

    def _expand(self, asset: Asset, table: Table) -> None:
        fields = Fields(self._manifest, asset)
        try:
            base = {**fields.variables(), RESERVED: asset.name}
        except Fault as fault:
            return self._findings.fault(fault)
        blueprint = Blueprint(fields, self._templates, self._references, self._palettes, self._findings)
        combinations = table.combinations()
        out = table.left_out(combinations) if table.exclude else set()
        for each_fault in table.faults:
            self._findings.fault(each_fault)
        multiplied = _AssetEntries(self._findings, self._occupied, table, blueprint, base)
        if not blueprint.complete or table.faults:
            return multiplied.look_at_one(combinations)
        known, first = self._known.get(asset.name), len(self._entries)
        prints = Prints(table, combinations, out) if known is not None or self._prints is not None else None
        wanted = known.wanted(prints) if known is not None and prints is not None else None
        made = multiplied.into(self._entries, combinations, out, wanted)
        if self._prints is not None and prints is not None:
            whole = wanted is None
            self._prints[asset.name] = b"".join(prints.every() if whole else [prints.of(row, at) for _, row, at in made])
        if len(self._findings):
            return
        if known is None:
            idle = idle_axes(table, combinations, out, self._pictures(len(self._entries) - first, first))
            self._data.warnings += [self._warning(fault) for fault in idle]
        elif known.moved:
            self._refuse_idle(table, combinations, out, known, {place: at for at, (place, _, _) in enumerate(made, first)})

    def _pictures(self, count: int, first: int) -> Sequence[object]:
        return _Pictures(count, lambda place: picture_of(self._entries[first + place]))

    def _refuse_idle(
        self,
        table: Table,
        combinations: Sequence[Combination],
        out: set[tuple[int, int]],
        known: KnownEntries,
        made: Mapping[int, int],
    ) -> None:
        """Raises UnsureError where an axis may multiply entries and change nothing. `made` are the entries, by their places."""
        count = len(combinations) * (1 if table.rows is None else len(table.rows)) - len(out)
        pictures = _Pictures(count, lambda place: self._entries[made[place]].prompt if place in made else known.picture(place))
        if idle_axes(table, combinations, out, pictures):
            raise UnsureError(f"whether all axes of {table.path[-1]} are used", code="unsure")

    def _place(self, fault: Fault) -> tuple[str | int, ...]:
        """Where the output stands that a fault is about."""
        path, owner = fault.taken or ("", "")
        entry = next((entry for entry in self._entries if entry.id == owner), None)
        asset = next((each for each in self._manifest.assets if entry is not None and each.name == entry.asset), None)
        if entry is None or asset is None:
            atlas = owner.removeprefix("atlas ")
            return ("atlases", atlas, "output") if any(each.name == atlas for each in self._manifest.atlases) else ("assets",)
        item = next((output.item for output in entry.outputs if output.path == path), 0)
        return place_of(Fields(self._manifest, asset), item)

    def _warning(self, fault: Fault) -> Problem:
        return self._manifest.source.problem(fault.code, fault.message, fault.path, hint=fault.hint)

    def _check_whole(self) -> None:
        for atlas in self._manifest.atlases:
            fault = self._options_of(atlas) or self._taken_by_atlas(atlas)
            if fault is not None and fault.path:
                self._findings.fault(fault)
            elif fault is not None:
                self._findings.fault(_at(fault, ("atlases", atlas.name, "output")))
        for fault in [*self._occupied.nested(), *self._occupied.over(self._manifest.output, self._protected())]:
            self._findings.fault(_at(fault, self._place(fault)))
        if not len(self._findings):
            paths = {asset.name: ("assets", asset.name) for asset in self._manifest.assets}
            for fault in (*check_graph(self._entries, paths), *check_sets(self._entries, paths)):
                self._findings.fault(fault)

    def _options_of(self, atlas: Atlas) -> Fault | None:
        try:
            check_options(atlas.options)
        except ValueError as error:
            option = next((name for name in atlas.options if f": {name} " in f"{error} " or repr(name) in str(error)), None)
            return _at(Fault("bad-atlas", str(error)), ("atlases", atlas.name, *([option] if option else [])))
        return None

    def _taken_by_atlas(self, atlas: Atlas) -> Fault | None:
        """The sheet, its JSON, and those of the other scales."""
        if not atlas.output.endswith(".png"):
            png_path = atlas.output.removesuffix(PurePosixPath(atlas.output).suffix) + ".png"
            message = f"a sheet is a PNG: `{atlas.output}` ends otherwise"
            return Fault("bad-output-path", message, hint=did_you_mean([png_path]))
        folder, slash, name = atlas.output.rpartition("/")
        try:
            scales = check_options(atlas.options)["scales"]
            names = [guard_path(folder + slash + each) for each in sheet_names(name, scales)]
        except ValueError as error:
            return Fault("bad-output-path", str(error))
        faults = (self._occupied.take(path, f"atlas {atlas.name}") for path in names)
        return next((fault for fault in faults if fault is not None), None)

    def _read(self) -> set[str]:
        read = {*self._templates.read_files(), *self._data.read_files(), *self._references.read_files()}
        return read | self._palettes.read_files().keys()

    def _protected(self) -> list[str]:
        name = self._manifest.file.replace("\\", "/").rpartition("/")[2]
        return [*sorted(self._read()), name, "qwenbuild.lock"]


class _AssetEntries:
    """One asset's entries, combination by combination."""

    def __init__(
        self, findings: Findings, occupied: Occupied, table: Table, blueprint: Blueprint, base: dict[str, object]
    ) -> None:
        self._findings = findings
        self._occupied = occupied
        self._table = table
        self._blueprint = blueprint
        self._base = base
        self._asset = str(table.path[-1])
        columns = set().union(*table.rows or ())
        self._reached = reached_as(sorted(columns), {*columns, *base, *table.axes})
        self._faulty = 0

    def into(
        self,
        entries: list[Entry],
        combinations: Sequence[Combination],
        out: set[tuple[int, int]],
        only: Container[int] | None = None,
    ) -> list[tuple[int, int, int]]:
        """Add the entries, rows slowest; `only` those at some places, where the others are known: then the place, row and
        combination of each that was made.
        """
        rows, made = self._table.rows, list[tuple[int, int, int]]()
        for row, place, numbers in self._wanted(len(combinations), out, only):
            try:
                variables = self._base if rows is None else self._seen(rows[row])
                prefix = () if rows is None or not self._table.named_by_values else (self._table.row_slug(row),)
            except Fault as fault:
                self._report(fault, "")
                continue
            for at in numbers:
                self._one(entries, variables, prefix, combinations[at], None if rows is None else row)
                if self._faulty > MOST_FAULTY:
                    return made
            if only is not None:
                made += [(place, row, at) for at in numbers]
        return made

    def _wanted(
        self, combinations: int, out: set[tuple[int, int]], only: Container[int] | None
    ) -> Iterator[tuple[int, int, Sequence[int]]]:
        """Each row of which there is something to make, a place, and the numbers of its combinations from there on."""
        every, number = range(combinations), 0
        for row in range(1 if self._table.rows is None else len(self._table.rows)):
            numbers: Sequence[int] = [at for at in every if (row, at) not in out] if out else every
            start, number = number, number + len(numbers)
            if only is None:
                yield row, start, numbers
            else:
                yield from ((row, place, (at,)) for place, at in enumerate(numbers, start) if place in only)

    def look_at_one(self, combinations: Sequence[Combination]) -> None:
        """Find the templates' faults by one combination, where something else is wrong already."""
        rows = self._table.rows
        if combinations and (rows is None or rows):
            context = {**self._seen(rows[0] if rows else {}), **combinations[0].values}
            for fault in self._blueprint.faults(context, self._asset):
                self._report(fault, "")

    def _seen(self, row: Mapping[str, object]) -> dict[str, object]:
        """The variables of a row, its columns also under the names that a template can write."""
        seen = {**self._base, **row, RESERVED: self._asset}
        if self._reached:
            seen.update({name: row[column] for name, column in self._reached.items() if column in row})
        return seen

    def _one(
        self, entries: list[Entry], variables: dict[str, object], prefix: tuple[str, ...], each: Combination, row: int | None
    ) -> None:
        context = {**variables, **each.values} if each.values else variables
        slugs = "-".join(prefix + each.slugs)
        default_id = f"{self._asset}/{slugs}" if slugs else self._asset
        origin = Origin(self._asset, row, each.values)
        try:
            entry = self._blueprint.entry(context, default_id)
        except Fault as fault:
            for each_fault in self._blueprint.faults(context, default_id) or [fault]:
                self._report(each_fault, origin.details())
            return
        except InputError as error:
            self._faulty += 1
            return self._findings.error(error)
        twice = self._occupied.add(entry, origin)
        if twice is not None:
            self._report(_at(twice, self._blueprint.place(entry, twice.taken)), "")
        entries.append(entry)

    def _report(self, fault: Fault, where: str) -> None:
        self._faulty += 1
        self._findings.fault(fault, where if fault.code not in ("undefined", "template-syntax", "no-such-template") else "")


def _at(fault: Fault, path: tuple[str | int, ...]) -> Fault:
    fault.path = path
    return fault


class _Pictures(Sequence[object]):
    """Pictures that are looked up one by one."""

    def __init__(self, count: int, look: Callable[[int], object]) -> None:
        self._count = count
        self._look = look

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self._count:
            raise IndexError(place)
        return self._look(place)
