"""Palette files of steps: read once, known to be palettes, and named by the digest of their bytes.

Knows no step; what the colours are for shows when a picture is quantized.
"""

from __future__ import annotations

import hashlib
from pathlib import Path as File

from qwenbuild.expand.cells import Path, placed
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.inputs import missing_file
from qwenbuild.images import read_palette
from qwenbuild.lfs import not_fetched, pointer_oid
from qwenbuild.manifest.paths import inside

PALETTE_BYTES_MAX = 1 << 20
"""Bytes; the largest palette of 256 colours is a few kilobytes."""


class Palettes:
    """The palette files of one manifest."""

    def __init__(self, folder: File) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}

    def read_files(self) -> dict[str, str]:
        """Each file that was read, relative to the manifest's folder, and the digest of its bytes."""
        return dict(self._digests)

    def digest(self, relative: str, where: Path) -> str:
        """The digest of a palette file. Raises Fault when it is not there, outside of the folder, or no palette."""
        digest = self._digests.get(relative)
        if digest is None:
            data = self._read(relative, where)
            try:
                read_palette(data)
            except ValueError as error:
                raise placed(Fault("bad-palette", f"`{relative}`: {error}"), where) from None
            digest = self._digests[relative] = hashlib.sha256(data).hexdigest()
        return digest

    def _read(self, relative: str, where: Path) -> bytes:
        try:
            path = inside(self._folder, relative)
            if path.is_file() and path.stat().st_size > PALETTE_BYTES_MAX:
                raise ValueError(f"`{relative}` is larger than {PALETTE_BYTES_MAX >> 20} MB, which no palette is")
            data = path.read_bytes()
        except ValueError as error:
            raise placed(Fault("bad-palette", str(error)), where) from None
        except FileNotFoundError:
            raise placed(missing_file(self._folder, relative), where) from None
        except OSError as error:
            raise placed(Fault("unreadable", f"`{relative}` cannot be read: {error.strerror}"), where) from error
        if pointer_oid(data):
            raise placed(Fault("lfs-pointer", not_fetched(relative)), where)
        return data
