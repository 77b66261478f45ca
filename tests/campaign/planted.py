"""Bugs in what is remembered between builds, each believed to make a build or a plan say what is not so.

Knows no test run; `teeth` plants them. Not in the list is what a second check covers as well: that choices of people and
expectations are not remembered by `keeping`, and that atlases need the walk.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One planted bug: in `file`, `old` becomes `new`; `seen` are the tests that must turn red."""

    name: str
    file: str
    old: str
    new: str
    seen: tuple[str, ...]


STATE = ("tests/test_recall.py", "tests/test_recall_property.py")
SHORT = ("tests/test_short.py", "tests/test_short_property.py")
BUILDS = ("tests/test_short_build_property.py",)
ONE = ("tests/test_short.py",)
EDITS = ("tests/test_short_property.py", "-k", "rows_lockfile or one_edit_both")
MADE = ("tests/test_short_build_property.py", "-k", "rows_lockfile or merge_and or lost_file or one_edit_both")

REMEMBERED = (
    Bug(
        "short: a lockfile of another manifest is spliced",
        "lock/lockfile.py",
        "text({}, manifest, parsed.atlases) == empty",
        "text({}, found.manifest, found.atlases) == empty",
        ("tests/test_short_build_property.py", "-k", "merge_and"),
    ),
    Bug(
        "short: what an asset of lost files reads is forgotten",
        "planning/incremental.py",
        "*remade_read, ",
        "",
        ONE,
    ),
    Bug(
        "state: the ctime of a file is not looked at",
        "snapshot/statefile.py",
        '"st_ctime_ns", "st_ino"',
        '"st_mtime_ns", "st_ino"',
        STATE,
    ),
    Bug(
        "state: a young file is trusted",
        "snapshot/statefile.py",
        "changed < moment - (RACY_NS if changed % 1_000_000 else COARSE_NS)",
        "True",
        STATE,
    ),
    Bug(
        "state: outputs are not looked at",
        "snapshot/statefile.py",
        "return state if state is not None and _same_tree(_root(manifest, state), state) else None",
        "return state",
        STATE,
    ),
    Bug("state: links are not followed up", "snapshot/statefile.py", 'word(leads) != values["leads"] or ', "", STATE),
    Bug(
        "state: the vault is not looked at", "snapshot/statefile.py", ' or vault(values["blobs"]) != values["vault"]', "", STATE
    ),
    Bug("state: another boot is none", "snapshot/statefile.py", 'values["boot"] != boot() or ', "", STATE),
    Bug("state: another tool is none", "snapshot/statefile.py", 'values["tool"] != tool() or ', "", STATE),
    Bug(
        "state: the environment is forgotten", "snapshot/statefile.py", 'values["environment"] != environment() or ', "", STATE
    ),
    Bug("state: a day is like the other", "snapshot/statefile.py", ' or values["until"] <= today():', ":", STATE),
    Bug(
        "state: its bytes are not checked",
        "snapshot/statefile.py",
        'if head.decode() != f"{MAGIC} {blake2b(rest).hexdigest()}":',
        "if False:",
        STATE,
    ),
    Bug(
        "state: an open attempt is hidden",
        "engine/remember.py",
        "planned.cache.journal.live(project=loaded.project)",
        "()",
        STATE,
    ),
    Bug(
        "state: a file that somebody edited counts as done",
        "engine/remember.py",
        "idle = not modified and look",
        "idle = look",
        STATE,
    ),
    Bug(
        "state: an input that changed during the build counts as built",
        "engine/remember.py",
        "statefile.settled(then[1], self.began) and then == after\n            if",
        "True\n            if",
        STATE,
    ),
    Bug("state: a part of the manifest stands for all of it", "engine/remember.py", "bool(options.select or ", "bool(", STATE),
    Bug(
        "short: what all assets share is not compared",
        "planning/eligibility.py",
        'start = blake2b(shared.encode("utf-8", "surrogatepass"), digest_size=32)',
        "start = blake2b(digest_size=32)",
        SHORT,
    ),
    Bug(
        "short: two entries may write one file",
        "planning/incremental.py",
        " or not files.isdisjoint(keys | above):",
        ":",
        SHORT,
    ),
    Bug(
        "short: a file may stand where a folder must",
        "planning/incremental.py",
        "for folder in (head, *parents(head)))",
        "for folder in ())",
        SHORT,
    ),
    Bug(
        "short: an output may replace an input",
        "planning/incremental.py",
        "return (keys | files).isdisjoint(key_below(",
        "return set().isdisjoint(key_below(",
        SHORT,
    ),
    Bug(
        "short: --force is overlooked",
        "planning/incremental.py",
        "options.output or options.force or options.strict",
        "options.output",
        SHORT,
    ),
    Bug(
        "short: another output folder is overlooked",
        "planning/incremental.py",
        "if options.provider or options.output or",
        "if options.provider or",
        SHORT,
    ),
    Bug(
        "short: its bytes are not checked",
        "snapshot/entryfile.py",
        'if first.decode() != f"{MAGIC} {stamp} {blake2b(rest).hexdigest()}":',
        "if False:",
        SHORT,
    ),
    Bug(
        "short: an entry that others build on is kept", "planning/eligibility.py", "entry.id in self.referenced or ", "", SHORT
    ),
    Bug(
        "short: an entry that builds on another is kept",
        "planning/eligibility.py",
        "any(ref.entry for ref in entry.inputs) or ",
        "",
        SHORT,
    ),
    Bug(
        "short: a template is not one of what an asset reads",
        "planning/eligibility.py",
        "paths.update(_templates(loaded))",
        "pass",
        SHORT,
    ),
    Bug(
        "short: a reference image is not one of what an asset reads",
        "planning/eligibility.py",
        "if ref.file}",
        "if False}",
        SHORT,
    ),
    Bug(
        "short: a palette is not one of what an asset reads",
        "planning/eligibility.py",
        "return paths | {*loaded.read}",
        "return paths",
        SHORT,
    ),
    Bug(
        "short: a build believes files that a believed entry took over to be nobody's",
        "planning/planner.py",
        " or path in self.seen.facts.untouched.paths",
        "",
        BUILDS,
    ),
    Bug(
        "short: the entries of an asset that are walked alone are the wrong ones",
        "planning/incremental.py",
        "bisect_right(ends, at - start)",
        "0",
        (*SHORT, *BUILDS),
    ),
    Bug("short: a record is put in the wrong place", "lock/layout.py", "_id_at(raw, at) < id", "False", BUILDS),
    Bug(
        "short: kinds are mixed up",
        "planning/eligibility.py",
        "identity = (entry.provider, entry.model, id(entry.params))",
        "identity = ()",
        SHORT,
    ),
    Bug(
        "short: files of believed entries are not looked at",
        "planning/incremental.py",
        "if not statefile.same_files(self.root, paths, ",
        "if () > (self.root, paths, ",
        ONE,
    ),
    Bug(
        "short: a file that an asset reads is not looked at",
        "planning/incremental.py",
        " or not self.changed.isdisjoint(remembered.read)",
        "",
        ONE,
    ),
    Bug("short: an asset's own words are not compared", "planning/incremental.py", "remembered.frame != frame", "False", ONE),
    Bug(
        "short: the values of an axis are not compared",
        "planning/incremental.py",
        "moved = remembered.print != word or remembered.data in self.changed",
        "moved = remembered.data in self.changed",
        ONE,
    ),
    Bug(
        "short: a data file is not looked at",
        "planning/incremental.py",
        "moved = remembered.print != word or remembered.data in self.changed",
        "moved = remembered.print != word",
        ONE,
    ),
    Bug(
        "short: a lost picture of a believed entry is not missed",
        "planning/incremental.py",
        "if digest not in blobs)",
        "if False)",
        ONE,
    ),
    Bug(
        "short: a record that changed is believed",
        "planning/incremental.py",
        "            if self.new_records:\n",
        "            if False:\n",
        EDITS,
    ),
    Bug(
        "short: a record may be there twice",
        "planning/incremental.py",
        "return lock if lock.entries.keys().isdisjoint(ids[at] for at in seen) else None",
        "return lock",
        EDITS,
    ),
    Bug(
        "short: records that did not change are not read",
        "planning/incremental.py",
        "return more and replace(self.lock, entries={**self.lock.entries, **more.entries})",
        "return self.lock",
        MADE,
    ),
    Bug(
        "short: ids of two entries may be one",
        "planning/incremental.py",
        "if not ids.isdisjoint(entry.id for entry in new) or ",
        "if ",
        ONE,
    ),
    Bug(
        "short: an atlas may have the file of an entry",
        "planning/incremental.py",
        "paths += [path for atlas in loaded.manifest.atlases for path in paths_of(atlas)]",
        "paths += []",
        EDITS,
    ),
    Bug(
        "short: what was touched is made from the columns though rows changed",
        "planning/incremental.py",
        "if not known.moved and whole and",
        "if whole and",
        EDITS,
    ),
    Bug(
        "short: a file with steps is made from the columns",
        "planning/incremental.py",
        "all(columns.numbers[WIDTH * at + 4] for at in known.touched)",
        "True",
        MADE,
    ),
    Bug(
        "short: a changed manifest is not read",
        "planning/incremental.py",
        "if memory.manifest is None or path.name in changed:",
        "if memory.manifest is None:",
        ONE,
    ),
    Bug(
        "short: a young manifest is remembered",
        "planning/eligibility.py",
        "if Path(manifest.file).name in self.settled else None",
        "",
        ONE,
    ),
    Bug(
        "short: a young input is trusted",
        "planning/eligibility.py",
        "if not read | ({data} if data else set()) <= self.settled or ",
        "if ",
        ONE,
    ),
    Bug(
        "short: paid pictures are not counted",
        "planning/eligibility.py",
        "paid = int(not is_free(",
        "paid = 0 * int(not is_free(",
        ONE,
    ),
    Bug(
        "short: entries that may not be believed are remembered",
        "planning/eligibility.py",
        "for step in steps if self._is_fresh(step)}",
        "for step in steps if step.id in self.lock}",
        SHORT,
    ),
    Bug("short: tags are mixed up", "planning/fresh_assets.py", "columns.labels[numbers[1]]", "columns.labels[0]", SHORT),
    Bug(
        "short: a build forgets what the believed entries read",
        "engine/remember.py",
        "*loaded.fresh_assets.files_read()}",
        "}",
        MADE,
    ),
    Bug(
        "short: a build forgets the data file of believed entries",
        "snapshot/entryfile.py",
        "return (*self.read, self.data) if self.data else self.read",
        "return self.read",
        MADE,
    ),
    Bug(
        "short: a picture that is lost during the build is believed",
        "planning/fresh_assets.py",
        "if before.get(name) != now.get(name)",
        "if False",
        ONE,
    ),
    Bug(
        "short: files are counted to the wrong entry",
        "planning/known_asset.py",
        "                file += count\n",
        "                file += 1\n",
        SHORT,
    ),
    Bug(
        "short: an entry is known by its row's number",
        "expand/prints.py",
        "blake2b(repr(self._rows[row])",
        "blake2b(repr(row)",
        ONE,
    ),
    Bug(
        "short: an entry is not known by its axes",
        "expand/prints.py",
        "self._digest(repr((each.values, each.slugs)))",
        "self._digest(repr(each.slugs))",
        EDITS,
    ),
    Bug(
        "short: two entries are believed to be one", "planning/known_asset.py", "old.pop(each, -1)", "old.get(each, -1)", EDITS
    ),
    Bug(
        "short: an entry has another's place",
        "planning/known_asset.py",
        "yield run.place + at, run.first + at",
        "yield run.first + at, run.first + at",
        EDITS,
    ),
    Bug(
        "short: a touched entry is believed where rows changed",
        "planning/known_asset.py",
        "if run.first + at not in self.touched",
        "if True",
        SHORT,
    ),
    Bug(
        "short: an axis that changes nothing any more is not told",
        "expand/expansion.py",
        "elif known.moved:",
        "elif False:",
        EDITS,
    ),
    Bug(
        "short: walked entries stand in the wrong place",
        "planning/fresh_assets.py",
        "at + run.place - place",
        "at + run.place",
        ONE,
    ),
    Bug(
        "short: an atlas of believed entries is not planned",
        "planning/atlas_plans.py",
        " or path in self.untouched for _",
        "  for _",
        SHORT,
    ),
    Bug(
        "short: an atlas is packed of files that nobody looked at", "engine/walk.py", "busy(planned.plan.atlases) or ", "", MADE
    ),
    Bug(
        "short: a lockfile of another layout is spliced",
        "lock/lockfile.py",
        "    return all(is_block(*entry, block) for entry, block in zip(entries.items(), new, strict=True))",
        "    return True",
        MADE,
    ),
)
