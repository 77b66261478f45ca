"""The remembered state in its file: how it is written and read, and whether every file still has its signature.

Knows no manifest and no plan. It may only save work: whatever is not exactly as it was is looked at in full again.

The file `.qwenbuild/<stem>.state`, in this order: a line with magic and the BLAKE2b of all that follows; lines of
names and values; a blank line; then the paths (NUL-separated), their signatures (four 64-bit integers each: size,
mtime_ns, ctime_ns, inode) and their digests (32 bytes each). Inputs come first, outputs after them.
"""

from __future__ import annotations

import os
import stat as modes
import sys
import time
from array import array

from qwenbuild import __version__

try:  # their usual modules load others first, which costs more than all that is done here with a thousand entries
    from _blake2 import blake2b
    from _functools import partial  # type: ignore[import-not-found,unused-ignore]
    from _operator import attrgetter, eq
except ImportError:
    from functools import partial
    from hashlib import blake2b
    from operator import attrgetter, eq

MAGIC = "qwenbuild-state 2"
FOLDER = ".qwenbuild"
BOOT = "/proc/sys/kernel/random/boot_id"
RACY_NS = 20_000_000
"""A file that changed later than this before it was looked at may change again with the same times: it is not trusted."""
COARSE_NS = 2_100_000_000
"""The same where the file system counts whole milliseconds or seconds (FAT counts in twos)."""
FILE_BYTES_MAX = 1 << 28
"""Bytes; a larger state is not read. One of 200,000 entries has about 30 MB."""
LAST_DAY = "9999-12-31"
ABSENT = (-1, 0, 0, 0)
"""The signature of an input that is not there."""
UNKNOWN = (-2, 0, 0, 0)
"""The signature of an input that cannot be looked at: it is never the same, and nothing that hangs on it is believed."""
Signature = tuple[int, int, int, int]


class Files:
    """Files with their signatures and digests, as columns."""

    __slots__ = ("digests", "paths", "signatures")

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.signatures = array("q")
        self.digests = bytearray()

    def add(self, path: str, signature: Signature, digest: str) -> None:
        """One more, its digest in hex."""
        self.paths.append(path)
        self.signatures.extend(signature)
        self.digests += bytes.fromhex(digest)

    def take(self, state: Snapshot, start: int, end: int) -> None:
        """Those of another state from one place to another, as they are."""
        self.paths += state.paths[start:end]
        self.signatures += state.signatures[4 * start : 4 * end]
        self.digests += state.digests[32 * start : 32 * end]


class Snapshot:
    """A state file that is whole and of this boot."""

    __slots__ = ("digests", "inputs", "paths", "signatures", "values")

    def __init__(self, values: dict[str, str], paths: list[str], signatures: array[int], digests: bytes) -> None:
        self.values = values
        self.paths = paths
        self.signatures = signatures
        self.digests = digests
        self.inputs = int(values["inputs"])

    def signature(self, index: int) -> Signature:
        """The signature of one path."""
        size, mtime, ctime, inode = self.signatures[4 * index : 4 * index + 4]
        return size, mtime, ctime, inode

    def outputs(self) -> dict[str, tuple[Signature, str]]:
        """The remembered digests of the tree's files, for a plan that has to be made."""
        outputs = {}
        for index in range(self.inputs, len(self.paths)):
            digest = self.digests[32 * index : 32 * index + 32]
            outputs[self.paths[index]] = (self.signature(index), digest.hex())
        return outputs

    def says(self, name: str) -> bool:
        """Whether a fact was true when the state was written: idle, plain, locked."""
        return self.values.get(name) == "1"


# ---------------------------------------------------------------- what an answer hangs on besides files


def environment() -> str:
    """Everything of the environment that could change the answer, as one digest."""
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith(("QWENBUILD_", "XDG_DATA_HOME")))
    homes = ("HOME", "USERPROFILE", "LOCALAPPDATA")
    variables += [(name, "" if "QWENBUILD_CACHE_DIR" in os.environ else os.environ.get(name, "")) for name in homes]
    return word(repr(variables))


def boot() -> str:
    """Which boot this is: after an unclean one, files may hold other bytes than their signatures promise."""
    try:
        with open(BOOT) as file:
            return file.read().strip()
    except OSError:
        return ""


def tool() -> str:
    """What writes states of this kind: version, Python, and when files of the package were last added or replaced."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        with os.scandir(package) as items:
            folders = sorted((item.name, item.path) for item in items if item.is_dir(follow_symlinks=False))
        changed = [os.stat(path).st_mtime_ns for name, path in folders if name != "__pycache__"]
        return f"{__version__} {sys.hexversion:x} {os.stat(package).st_mtime_ns:x} {hash(tuple(changed)):x}"
    except OSError:
        return f"{__version__} {sys.hexversion:x}"


def today() -> str:
    """The day, UTC, as the lockfile writes it."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def vault(folder: str) -> str:
    """Which blobs a cache has, told by the times of its folders of blobs."""
    try:
        return f"{hash(tuple((int(name, 16), changed) for name, changed in shards(folder))):x}"
    except FileNotFoundError:
        return "none"
    except (OSError, ValueError):
        return ""


def shards(folder: str) -> list[tuple[str, int]]:
    """The folders of a cache's blobs, and when each has changed. Raises OSError."""
    with os.scandir(folder) as items:
        folders = sorted((item.name, item.path) for item in items)
    return [(name, os.stat(path).st_mtime_ns) for name, path in folders]


# ---------------------------------------------------------------- signatures


def signature_of(status: os.stat_result) -> Signature:
    """What a file is recognised by."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def settled(signature: Signature, moment: int) -> bool:
    """Whether a file that had this signature at `moment` (wall nanoseconds) cannot have changed since and still have it."""
    if signature in (ABSENT, UNKNOWN):
        return signature == ABSENT
    changed = signature[2] if os.name == "posix" else max(signature[1:3])
    return changed < moment - (RACY_NS if changed % 1_000_000 else COARSE_NS)


def look(folder: str, paths: list[str]) -> tuple[list[tuple[str, Signature]], str]:
    """The signatures of inputs, and one word for where the links among them lead. Paths are relative to `folder`."""
    signatures, leads = [], {}
    for path in paths:
        signature, lead = _input(os.path.join(folder, path))
        signatures.append((path, signature))
        if lead:
            leads[path] = lead
        parent = os.path.dirname(path)
        if parent and parent not in leads:
            leads[parent] = os.path.relpath(os.path.realpath(os.path.join(folder, parent)), os.path.realpath(folder))
    return signatures, "\0".join(f"{path}\0{lead}" for path, lead in sorted(leads.items()))


def _input(path: str) -> tuple[Signature, str]:
    """A file's signature, and where it leads when it is a link."""
    try:
        status, lead = os.lstat(path), ""
        if modes.S_ISLNK(status.st_mode):
            status, lead = os.stat(path), os.path.realpath(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT, ""
    except (OSError, ValueError):
        return UNKNOWN, ""
    return signature_of(status), lead


# ---------------------------------------------------------------- reading


def path_of(manifest: str) -> str:
    """The state's file, beside the manifest."""
    stem = os.path.splitext(os.path.basename(manifest))[0]
    return os.path.join(os.path.dirname(manifest), FOLDER, stem + ".state")


def read(path: str) -> Snapshot | None:
    """The state in a file; None when it is absent, broken, foreign or of another boot. Its digests can be believed."""
    try:
        raw = _bytes(path)
        head, _, rest = raw.partition(b"\n")
        if head.decode() != f"{MAGIC} {blake2b(rest).hexdigest()}":
            return None
        return _parsed(rest)
    except (OSError, ValueError, KeyError, IndexError, MemoryError):
        return None


def _bytes(path: str) -> bytes:
    """The bytes of a regular file of a sane size; what stands there may be anything."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not modes.S_ISREG(status.st_mode) or status.st_size > FILE_BYTES_MAX:
            raise ValueError("not a state")
        return file.read()


def _parsed(rest: bytes) -> Snapshot | None:
    names, _, body = rest.partition(b"\n\n")
    values = dict(line.partition("=")[::2] for line in names.decode("utf-8", "surrogateescape").split("\n"))
    if values["boot"] != boot() or not values["boot"]:
        return None
    count, length = int(values["count"]), int(values["length"])
    signatures = array("q")
    signatures.frombytes(body[length : length + 32 * count])
    paths = body[:length].decode("utf-8", "surrogateescape").split("\0") if count else []
    digests = body[length + 32 * count :]
    if len(paths) != count or len(signatures) != 4 * count or len(digests) != 32 * count:
        return None
    return Snapshot(values, paths, signatures, digests)


def proven(manifest: str) -> Snapshot | None:
    """The state of a manifest when a build would have nothing to do, proven by looking at every file; else None."""
    state = unchanged(manifest)
    return state if state is not None and _same_tree(_root(manifest, state), state) else None


def unchanged(manifest: str) -> Snapshot | None:
    """The state of a manifest when nothing but files of the tree can have changed since there was nothing to do; else None."""
    state = read(path_of(manifest))
    if state is None or not state.says("idle") or state.paths[0] != os.path.basename(manifest):
        return None
    values = state.values
    if values["tool"] != tool() or values["environment"] != environment() or values["until"] <= today():
        return None
    inputs, leads = look(os.path.dirname(manifest), state.paths[: state.inputs])
    same = all(signature == state.signature(index) for index, (_, signature) in enumerate(inputs))
    if not same or word(leads) != values["leads"] or vault(values["blobs"]) != values["vault"]:
        return None
    return state


def has_files(manifest: str, state: Snapshot, places: list[int]) -> bool:
    """Whether the files at these places among the state's paths still have their signatures."""
    signatures = array("q", [number for place in places for number in state.signature(place)])
    return same_files(_root(manifest, state), [state.paths[place] for place in places], signatures)


def _root(manifest: str, state: Snapshot) -> str:
    return os.path.join(os.path.dirname(manifest), state.values["root"])


def word(text: str) -> str:
    """A text in one word."""
    return blake2b(text.encode("utf-8", "surrogateescape")).hexdigest()


def _same_tree(root: str, state: Snapshot) -> bool:
    """Whether every output still has its signature."""
    first, last = state.inputs, len(state.paths)
    return first == last or same_files(root, state.paths[first:], state.signatures[4 * first :])


def same_files(root: str, paths: list[str], signatures: array[int]) -> bool:
    """Whether files of the tree still have these signatures, and no folder of theirs became a link."""
    numbers = iter(signatures)
    try:
        descriptor = os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return False
    try:
        folders = {path.rpartition("/")[0] for path in paths}
        if not all(_is_folder(folder, descriptor) for folder in folders if folder):
            return False
        look = partial(os.stat, dir_fd=descriptor, follow_symlinks=False)
        current = map(attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"), map(look, paths))
        return all(map(eq, current, zip(numbers, numbers, numbers, numbers, strict=True)))
    except (OSError, NotImplementedError):
        return False
    finally:
        os.close(descriptor)


def _is_folder(folder: str, descriptor: int) -> bool:
    """Whether no part of a folder's path below the tree's root is a link."""
    while folder:
        if not modes.S_ISDIR(os.stat(folder, dir_fd=descriptor, follow_symlinks=False).st_mode):
            return False
        folder = folder.rpartition("/")[0]
    return True


# ---------------------------------------------------------------- writing


def write(
    manifest: str,
    inputs: list[tuple[str, Signature]],
    leads: str,
    outputs: Files,
    values: dict[str, str],
) -> None:
    """Write the state beside the manifest. `inputs` begin with it; `values` are what `proven` asks for.

    Failing to write is no failure: the next build looks in full.
    """
    listed = Files()
    for path, signature in inputs:
        listed.add(path, signature, "0" * 64)
    listed.paths += outputs.paths
    listed.signatures += outputs.signatures
    listed.digests += outputs.digests
    facts = {"tool": tool(), "boot": boot(), "environment": environment(), "leads": word(leads), "inputs": str(len(inputs))}
    facts |= values
    if not any("\n" in value for value in facts.values()):
        _replace(path_of(manifest), facts, listed)


def _replace(path: str, values: dict[str, str], listed: Files) -> None:
    from qwenbuild import files

    paths = "\0".join(listed.paths).encode("utf-8", "surrogateescape")
    values = {**values, "count": str(len(listed.paths)), "length": str(len(paths))}
    lines = "\n".join(f"{name}={value}" for name, value in values.items()).encode("utf-8", "surrogateescape")
    rest = lines + b"\n\n" + paths + listed.signatures.tobytes() + listed.digests
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        files.replace(path, f"{MAGIC} {blake2b(rest).hexdigest()}\n".encode() + rest, durable=False)
    except OSError:
        return
