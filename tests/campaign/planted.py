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

REMEMBERED = (
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
        "short: files of believed assets are not looked at",
        "planning/incremental.py",
        "if not statefile.same_files(root, paths, ",
        "if () > (root, paths, ",
        SHORT,
    ),
    Bug(
        "short: a file that an asset reads is not looked at",
        "planning/incremental.py",
        " or not changed.isdisjoint(asset.read)",
        "",
        SHORT,
    ),
    Bug("short: an asset's own block is not compared", "planning/incremental.py", "asset.print != word", "False", SHORT),
    Bug(
        "short: what all assets share is not compared",
        "planning/eligibility.py",
        'start = blake2b(shared.encode("utf-8", "surrogatepass"), digest_size=32)',
        "start = blake2b(digest_size=32)",
        SHORT,
    ),
    Bug(
        "short: a lost picture of a believed asset is not missed",
        "planning/incremental.py",
        "if digest not in blobs]",
        "if False]",
        SHORT,
    ),
    Bug(
        "short: a changed lockfile is believed",
        "planning/incremental.py",
        "return None if lockfile.path_of(path).name in changed else changed",
        "return changed",
        SHORT,
    ),
    Bug(
        "short: ids of two entries may be one",
        "planning/incremental.py",
        "if not ids.isdisjoint(entry.id for entry in loaded.entries) or ",
        "if ",
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
        "short: rows are not one of what an asset reads",
        "planning/eligibility.py",
        "if isinstance(rows, str))",
        "if False)",
        SHORT,
    ),
    Bug(
        "short: a palette is not one of what an asset reads",
        "planning/eligibility.py",
        "return paths | {*loaded.read}",
        "return paths",
        SHORT,
    ),
    Bug("short: a young input is trusted", "planning/eligibility.py", "read <= self.settled and ", "", SHORT),
    Bug("short: paid pictures are not counted", "planning/eligibility.py", "paid = sum(", "paid = 0 * sum(", SHORT),
    Bug(
        "short: tags are mixed up",
        "planning/fresh_assets.py",
        "columns.labels[columns.numbers[3 * at + 1]]",
        "columns.labels[0]",
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
        "short: a build forgets what the believed assets read",
        "engine/remember.py",
        "for asset in loaded.fresh_assets.assets for path in asset.read)",
        "for asset in loaded.fresh_assets.assets for path in ())",
        BUILDS,
    ),
    Bug(
        "short: the entries of an asset that are walked alone are the wrong ones",
        "planning/incremental.py",
        "bisect_right(ends, at - start)",
        "0",
        (*SHORT, *BUILDS),
    ),
    Bug(
        "short: files are counted to the wrong run",
        "planning/incremental.py",
        "file += files + (numbers[3 * last + 2] if stop < asset.count else 0)",
        "file += files",
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
)
