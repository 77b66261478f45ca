"""What a plan asks of the shared cache: whether it has the pictures that would otherwise be lost, and how that is said.

Knows no store's kind. A store can only save money: what it does not answer for counts as there, so that nothing is bought
because of an error; fetching it then fails with the error's own words.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qwenbuild.errors import Problem
from qwenbuild.key import document
from qwenbuild.model import ActionResult, CandidatePlan, LockEntry, Manifest, Plan, Reason, Step, Verdict
from qwenbuild.plan import Observed
from qwenbuild.remote.addresses import open_remote
from qwenbuild.remote.store import Remote, RemoteError, check_version, never_started, receipt_name
from qwenbuild.remote.transfer import RecordedPicture, doubt_of, each, look, pictureless, receipt, unreadable

if TYPE_CHECKING:
    from qwenbuild.planning.loading import Loaded
    from qwenbuild.project.options import Options

ADDRESS = "QWENBUILD_REMOTE"
TEAM = "QWENBUILD_TEAM_KEY"
PUSH = "QWENBUILD_REMOTE_PUSH"
AT_HAND = (Verdict.FRESH, Verdict.RESTORE, Verdict.DERIVE, Verdict.MODIFIED)


@dataclass(frozen=True, slots=True)
class RemotePictures:
    """What the shared cache said so far. `sizes` are bytes by digest; `unknown` digests it did not answer for.

    `imported` are believed receipts of keys that the lockfile does not name; of `blocked` keys that could not be told.
    `empty`: there is no VERSION, and this build starts the shared cache, before it buys anything.
    """

    url: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, RemoteError] = field(default_factory=dict)
    imported: Mapping[str, ActionResult] = field(default_factory=dict)
    blocked: Mapping[str, RemoteError] = field(default_factory=dict)
    queried: frozenset[str] = frozenset()
    empty: bool = False

    def __contains__(self, digest: object) -> bool:
        return digest in self.sizes or digest in self.unknown

    def facts(self, seen: Observed) -> Observed:
        """What is true with the shared cache's pictures at hand."""
        if not self.queried:
            return seen
        results = dict(seen.results)
        for key, result in self.imported.items():
            results[key] = (*results.get(key, ()), result)
        return replace(seen, shared=frozenset({*self.sizes, *self.unknown}), results=results)


# ---------------------------------------------------------------- where it is


def environ_of(loaded: Loaded) -> Mapping[str, str]:
    """What a shared cache's address and credentials are taken from: never a `.env`, which gives API keys alone."""
    return os.environ


def address(manifest: Manifest, environ: Mapping[str, str]) -> str:
    """The shared cache's address, "" when none is named; the environment wins over the manifest."""
    return environ.get(ADDRESS, "").strip() or manifest.remote or ""


def team_key(environ: Mapping[str, str]) -> bytes:
    """The key that signs a team's receipts, empty when there is none."""
    return environ.get(TEAM, "").strip().encode()


def pushes(manifest: Manifest, options: Options, environ: Mapping[str, str]) -> bool:
    """Whether this build may write to the shared cache; only such a build takes an empty place for a new shared cache."""
    return manifest.claims or options.push or environ.get(PUSH, "").strip().lower() in ("1", "true", "yes", "on")


# ---------------------------------------------------------------- asking


def ask(loaded: Loaded, options: Options, plan: Plan, seen: Observed, before: RemotePictures) -> RemotePictures:
    """Ask for what this plan would lose or buy and was not asked for before; `before` itself when there is nothing to ask.

    Raises InputError for an address that cannot be used.
    """
    if options.offline:
        return before
    digests = set(_lost(plan, loaded.lock.entries, seen, loaded.manifest.remote_derived)) - before.queried
    keys = _unnamed(plan, loaded.lock.entries) - before.queried if loaded.manifest.trust == "keys" else set()
    if not digests and not keys:
        return before
    environ = environ_of(loaded)
    url = address(loaded.manifest, environ)
    if not url:
        return before
    with closing(open_remote(url, environ)) as remote:
        answers = replace(before, url=remote.url, queried=before.queried | digests | keys)
        starting = pushes(loaded.manifest, options, environ)
        if keys and team_key(environ):
            answers = _import(remote, answers, keys, team_key(environ), plan, starting=starting)
            digests |= {result.digest for result in answers.imported.values()}
        return _told(remote, answers, digests, starting=starting)


def _told(remote: Remote, answers: RemotePictures, digests: set[str], *, starting: bool) -> RemotePictures:
    stored = look(remote, digests)
    sizes = {**answers.sizes, **stored.sizes}
    unknown = {**answers.unknown, **stored.unknown}
    if stored.empty and not starting:
        unknown |= dict.fromkeys(digests, never_started(remote))
    unsure = {
        key: unknown.get(result.digest) or pictureless(remote, key, result.digest)
        for key, result in answers.imported.items()
        if result.digest not in sizes
    }
    return replace(
        answers,
        sizes=sizes,
        unknown=unknown,
        imported={key: result for key, result in answers.imported.items() if result.digest in sizes},
        blocked={**answers.blocked, **unsure},
        empty=stored.empty and starting,
    )


def _import(
    remote: Remote, answers: RemotePictures, keys: set[str], team: bytes, plan: Plan, *, starting: bool
) -> RemotePictures:
    """Signed receipts of keys that would be bought: somebody of the team drew them, and the lockfile is not merged yet.

    That there is none is believed only between two readings of VERSION.
    """
    actions = {c.candidate.key: c.candidate.action for step in plan.steps for c in step.candidates if c.candidate.key in keys}
    imported, blocked, absent = dict(answers.imported), dict(answers.blocked), set[str]()
    try:
        if not check_version(remote):
            none = {} if starting else dict.fromkeys(keys, never_started(remote))
            return replace(answers, blocked={**blocked, **none})
    except RemoteError as error:
        return replace(answers, blocked={**blocked, **dict.fromkeys(keys, error)})
    for key, answer in each(lambda key: receipt(remote, key, team, signed=True), keys):
        if isinstance(answer, RemoteError):
            blocked[key] = answer
        elif answer is None:
            absent.add(key)
        elif answer.action == document(actions[key]):
            imported[key] = answer
        else:
            blocked[key] = unreadable(remote, receipt_name(key))
    if absent and (doubt := doubt_of(remote)) is not None:
        blocked |= dict.fromkeys(absent, doubt)
    return replace(answers, imported=imported, blocked=blocked)


def _lost(plan: Plan, lock: Mapping[str, LockEntry], seen: Observed, derived: bool) -> Iterator[str]:
    """Digests that the lockfile names for entries that lack them."""
    in_tree: Container[str] | None = None
    for step in plan.steps:
        record = lock.get(step.moved_from or step.id)
        if record is None or step.verdict is Verdict.FRESH or _is_forced(step) or not _lacks(step, record):
            continue
        in_tree = set(seen.files.values()) if in_tree is None else in_tree
        names = [record.digest, record.candidates.get(step.candidates[step.used].candidate.key, "")]
        if derived:
            names += [output.digest for output in record.outputs.values()]
        places = (seen.blobs, in_tree, seen.untouched.files)
        yield from (name for name in names if name and not any(name in place for place in places))


def _lacks(step: Step, record: LockEntry) -> bool:
    plan = step.candidates[step.used]
    return plan.verdict not in AT_HAND or (plan.candidate.key == record.key and plan.digest != record.digest)


def _is_forced(step: Step) -> bool:
    return any(reason.code == "forced" for reason in step.reasons)


def _unnamed(plan: Plan, lock: Mapping[str, LockEntry]) -> set[str]:
    """Keys to be bought that the entry's lock record does not name."""
    return {
        picture.candidate.key
        for step in plan.steps
        if step.verdict is Verdict.GENERATE and not _is_forced(step)
        for picture in step.candidates
        if picture.verdict is Verdict.GENERATE
        and picture.candidate.key
        and not _names(lock.get(step.id), picture.candidate.key)
    }


def _names(record: LockEntry | None, key: str) -> bool:
    return record is not None and (record.key == key or key in record.candidates)


# ---------------------------------------------------------------- saying


def said(plan: Plan, shared: RemotePictures, loaded: Loaded) -> Plan:
    """The plan with words on what comes from the shared cache, what is imported, and what cannot be told."""
    if not shared.queried:
        return plan
    steps = tuple(_marked(step, shared) for step in plan.steps) if shared.imported else plan.steps
    return replace(plan, steps=steps, notices=(*plan.notices, *_notices(plan, shared, loaded)))


def _marked(step: Step, shared: RemotePictures) -> Step:
    if not any(plan.verdict is Verdict.RESTORE and plan.candidate.key in shared.imported for plan in step.candidates):
        return step
    return replace(step, reasons=(*step.reasons, Reason("imported", "", None, shared.url)))


def needed(plan: Plan, shared: RemotePictures) -> dict[str, RecordedPicture | None]:
    """The pictures by digest (None for derived files) that this plan takes from the shared cache."""
    pictures: dict[str, RecordedPicture | None] = {}
    for step in plan.busy:
        plans = [picture for picture in step.candidates if picture.verdict is Verdict.RESTORE]
        if not plans or step.verdict is Verdict.FRESH:
            continue
        outputs = [output for output in step.outputs if output.verdict in (Verdict.RESTORE, Verdict.DERIVE)]
        copied = {output.digest for output in outputs if output.recipe and output.digest in shared.sizes}
        if len(copied) < len(outputs) or not outputs:
            pictures.update((picture.digest, _named(step, picture, shared)) for picture in plans if picture.digest in shared)
        pictures.update(dict.fromkeys(copied))
    return pictures


def _named(step: Step, plan: CandidatePlan, shared: RemotePictures) -> RecordedPicture:
    imported = shared.imported.get(plan.candidate.key)
    made = imported.made if imported else ""
    return RecordedPicture(plan.candidate.key, document(plan.candidate.action), made, step.keyed.entry.provider)


def _notices(plan: Plan, shared: RemotePictures, loaded: Loaded) -> Iterator[Problem]:
    pictures = needed(plan, shared)
    come = [digest for digest in pictures if digest in shared.sizes]
    if come:
        size = sum(shared.sizes[digest] for digest in come)
        entries = sum(any(picture.digest in shared.sizes for picture in step.candidates) for step in plan.steps)
        verb = "entry comes" if entries == 1 else "entries come"
        yield Problem("shared", f"{entries:,} {verb} from the shared cache {shared.url} ({size_words(size)})")
    unsure = [digest for digest in pictures if digest in shared.unknown]
    if unsure:
        hint = "a build stops at them and buys nothing; `--offline` leaves the shared cache out"
        words = f"cannot tell whether the shared cache has {_count(len(unsure))}: {shared.unknown[unsure[0]]}"
        yield Problem("shared-unknown", words, hint=hint)
    if shared.blocked:
        words = f"cannot tell whether a colleague drew {_count(len(shared.blocked))}: {next(iter(shared.blocked.values()))}"
        yield Problem("shared-unknown", words, hint="a build stops at them and buys nothing")
    if shared.empty:
        yield Problem("shared-empty", f"there is nothing in the shared cache {shared.url}")
    if loaded.manifest.trust == "keys" and not team_key(environ_of(loaded)):
        yield Problem("shared-keys", f"`trust: keys` accepts only receipts signed with {TEAM}, which is not set")


def _count(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


def size_words(size: float) -> str:
    """`812 B`, `1.5 MB`, `2.3 GB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
