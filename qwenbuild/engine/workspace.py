"""The project's files as a run uses them: reads reference images, makes an entry's files, keeps paid bytes that have no place.

Knows no order of events and no provider.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from qwenbuild.cache.care import rescue
from qwenbuild.engine.acceptance import Unfit
from qwenbuild.engine.publish import Publisher
from qwenbuild.errors import CacheError
from qwenbuild.later import later
from qwenbuild.model import Action, ActionResult, Step
from qwenbuild.planning.loading import today
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.replan import Settler
from qwenbuild.run import Published

with later:
    from qwenbuild import images


class ProjectFiles:
    """The files of one plan's project; `publisher` writes them."""

    def __init__(self, planned: Planned, publisher: Publisher) -> None:
        self._planned = planned
        self._publisher = publisher
        self._settler = Settler(planned)
        self._references = _reference_files(planned)

    def publish(self, step: Step, results: Mapping[str, ActionResult]) -> Published:
        """Make an entry's files. Raises CacheError when its picture's bytes cannot be found."""
        try:
            record, files = self._publisher.publish(step, results)
        except Unfit as error:
            return Published(None, unfit=(("", str(error)),))
        return Published(record, files.written, files.derived, files.failures, files.unfit, files.unsigned)

    def replan(self, step: Step, digests: Mapping[str, str]) -> Step:
        """The entry's step with its inputs' pictures known."""
        return self._settler(step, digests)

    def references(self, action: Action) -> tuple[tuple[bytes, str], ...]:
        """The bytes of the reference images and their types, in order. Raises CacheError when some cannot be found."""
        references = []
        for digest in action.inputs:
            file = self._references.get(digest)
            data = self._publisher.bytes_of(digest) if file is None else _reference(file, digest)
            references.append((data, images.reference_type(data) or "application/octet-stream"))
        return tuple(references)

    def rescue(self, data: bytes, result: ActionResult) -> Path:
        """Keep paid bytes that the cache cannot take in the project's folder, with their receipt. Raises OSError."""
        return rescue.rescue(self._planned.cache, data, result.key, self._planned.manifest.folder, result)

    def today(self) -> str:
        """The day, UTC, as the lockfile writes it."""
        return today()


def _reference(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise CacheError(f"the reference image {path.name} changed while the build ran; the next build plans with it")
    return data


def _reference_files(planned: Planned) -> dict[str, Path]:
    """Digest to file of every reference image that is a file of the project."""
    folder = planned.manifest.folder
    refs = (ref for keyed in planned.loaded.keyed if keyed.entry.inputs for ref in keyed.entry.inputs)
    return {ref.digest: folder / ref.file for ref in refs if ref.file and ref.digest}
