"""The remembered state: answers "nothing to do" from file signatures alone, before anything else is imported.

Knows no manifest and no plan. It may only save work: whatever is not exactly as it was is looked at in full again.

The file `.qwenbuild/<stem>.state`, in this order: a line with magic, tool and SHA-256 of all that follows; lines of
names and values; a blank line; then the paths (NUL-separated), their signatures (four 64-bit integers each: size,
mtime_ns, ctime_ns, inode) and their digests (32 bytes each). Inputs come first, outputs after them.
"""

from __future__ import annotations

import os
import sys
from array import array

from qwenbuild import __version__

MAGIC = "qwenbuild-state 1"
FOLDER = ".qwenbuild"
NAMES = ("qwenbuild.yaml", "qwenbuild.yml")
BOOT = "/proc/sys/kernel/random/boot_id"
RACY_NS = 20_000_000
"""A file that changed later than this before the state was written may change again unseen: it is not trusted."""
HARMLESS = frozenset({"-q", "--quiet", "--locked", "--offline", "--yes", "--fail-fast"})
"""Options under which "nothing to do" is still the whole answer."""
Signature = tuple[int, int, int, int]


class State:
    """A state file that is whole and of this tool, boot and environment."""

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
        found = {}
        for index in range(self.inputs, len(self.paths)):
            digest = self.digests[32 * index : 32 * index + 32]
            found[self.paths[index]] = (self.signature(index), digest.hex())
        return found


def environment() -> str:
    """Everything of the environment that could change the answer, as one digest."""
    import hashlib

    said = sorted((name, value) for name, value in os.environ.items() if name.startswith(("QWENBUILD_", "XDG_DATA_HOME")))
    said.append(("HOME", "" if "QWENBUILD_CACHE_DIR" in os.environ else os.environ.get("HOME", "")))
    return hashlib.sha256(repr(said).encode("utf-8", "surrogateescape")).hexdigest()


def boot() -> str:
    """Which boot this is: after an unclean one, files may hold other bytes than their signatures promise."""
    try:
        with open(BOOT) as file:
            return file.read().strip()
    except OSError:
        return ""


def tool() -> str:
    """What reads and writes states of this kind: version, Python, and whether the package itself changed."""
    status = os.stat(os.path.dirname(os.path.abspath(__file__)))
    return f"{__version__} {sys.hexversion:x} {status.st_mtime_ns}"


def read(path: str) -> State | None:
    """The state in a file; None when it is absent, broken, foreign, or of another boot or environment."""
    import hashlib

    try:
        with open(path, "rb") as file:
            raw = file.read()
        head, _, rest = raw.partition(b"\n")
        if head.decode() != f"{MAGIC} {hashlib.sha256(rest).hexdigest()}":
            return None
        return _parsed(rest)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _parsed(rest: bytes) -> State | None:
    names, _, body = rest.partition(b"\n\n")
    values = dict(line.partition("=")[::2] for line in names.decode().split("\n"))
    if values["tool"] != tool() or values["boot"] != boot() or not values["boot"] or values["environment"] != environment():
        return None
    count, length = int(values["count"]), int(values["length"])
    signatures = array("q")
    signatures.frombytes(body[length : length + 32 * count])
    paths = body[:length].decode("utf-8", "surrogateescape").split("\0") if count else []
    digests = body[length + 32 * count :]
    if len(paths) != count or len(signatures) != 4 * count or len(digests) != 32 * count:
        return None
    return State(values, paths, signatures, digests)


# ---------------------------------------------------------------- the quick answer


def answer(args: list[str]) -> int | None:
    """The exit code of a `build` that has nothing to do, its last line printed; None when the walk must look."""
    asked = _asked(args)
    if asked is None:
        return None
    folder, name, quiet = asked
    manifest = _manifest(folder, name)
    if manifest is None:
        return None
    state = read(_state_path(manifest))
    if state is None or state.values.get("idle") != "1" or not _untouched(state, os.path.dirname(manifest)):
        return None
    if not quiet:
        _say(state)
    return 0


def _asked(args: list[str]) -> tuple[str, str, bool] | None:
    """Folder, manifest's name and quietness of a plain `build`; None for anything else."""
    folder, name, quiet, verb = "", "", False, False
    words = iter(args)
    for word in words:
        if word == "build" and not verb:
            verb = True
        elif word in ("-C", "--directory"):
            folder = next(words, "")
        elif word in ("-f", "--file"):
            name = next(words, "")
        elif word in HARMLESS:
            quiet = quiet or word in ("-q", "--quiet")
        else:
            return None
    if any(
        variable in os.environ for variable in ("QWENBUILD_DIRECTORY", "QWENBUILD_FILE", "QWENBUILD_QUIET", "QWENBUILD_COLOR")
    ):
        return None
    return (folder, name, quiet) if verb else None


def _manifest(folder: str, name: str) -> str | None:
    if name:
        return os.path.join(folder, name)
    there = [os.path.join(folder, known) for known in NAMES if os.path.lexists(os.path.join(folder, known))]
    return there[0] if len(there) == 1 else None


def _state_path(manifest: str) -> str:
    stem = os.path.splitext(os.path.basename(manifest))[0]
    return os.path.join(os.path.dirname(manifest), FOLDER, stem + ".state")


def _untouched(state: State, folder: str) -> bool:
    """Whether every input and every output still has its signature, and no folder of the tree became a link."""
    root = os.path.join(folder, state.values["root"])
    inputs = state.inputs
    for index in range(inputs):
        if not _same_input(os.path.join(folder, state.paths[index]), state.signature(index)):
            return False
    return _same_tree(root, state, inputs) if len(state.paths) > inputs else True


def _same_input(path: str, signature: Signature) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return signature == (-1, 0, 0, 0)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) == signature


def _same_tree(root: str, state: State, first: int) -> bool:
    signatures = state.signatures
    paths = state.paths
    stat = os.stat
    try:
        descriptor = os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return False
    try:
        folders = {path.rpartition("/")[0] for path in paths[first:]}
        if not all(_is_folder(folder, descriptor) for folder in folders if folder):
            return False
        place = 4 * first
        for index in range(first, len(paths)):
            status = stat(paths[index], dir_fd=descriptor, follow_symlinks=False)
            if (
                status.st_mtime_ns != signatures[place + 1]
                or status.st_size != signatures[place]
                or status.st_ctime_ns != signatures[place + 2]
                or status.st_ino != signatures[place + 3]
            ):
                return False
            place += 4
    except (OSError, NotImplementedError):
        return False
    finally:
        os.close(descriptor)
    return True


def _is_folder(folder: str, descriptor: int) -> bool:
    """Whether no part of a folder's path below the tree's root is a link."""
    import stat as modes

    while folder:
        if not modes.S_ISDIR(os.stat(folder, dir_fd=descriptor, follow_symlinks=False).st_mode):
            return False
        folder = folder.rpartition("/")[0]
    return True


def _say(state: State) -> None:
    count = int(state.values["entries"])
    entries = f"{count:,} entry is" if count == 1 else f"{count:,} entries are"
    print(f"Nothing to do: {entries} fresh.")


# ---------------------------------------------------------------- remembering


def remember(
    manifest: str,
    root: str,
    inputs: list[str],
    outputs: dict[str, tuple[Signature, str]],
    *,
    entries: int,
    idle: bool,
    clock: int,
) -> None:
    """Write the state beside the manifest. `inputs` are paths relative to its folder (an absent one counts as absent).

    `clock` is wall time in nanoseconds, read after the outputs' signatures were: a file not older than it is left out,
    and then the state is no answer by itself. Failing to write is no failure: the next build looks in full.
    """
    folder = os.path.dirname(manifest)
    known = [(path, _input_signature(os.path.join(folder, path)), "0" * 64) for path in inputs]
    racy = any(max(signature[1:3]) >= clock - RACY_NS for _, signature, _ in known)
    for path, (signature, digest) in outputs.items():
        if max(signature[1], signature[2]) < clock - RACY_NS:
            known.append((path, signature, digest))
        else:
            racy = True
    values = {
        "tool": tool(),
        "boot": boot(),
        "environment": environment(),
        "root": os.path.relpath(root, folder or "."),
        "entries": str(entries),
        "idle": "1" if idle and not racy else "0",
        "inputs": str(len(inputs)),
    }
    _write(_state_path(manifest), values, known)


def _input_signature(path: str) -> Signature:
    try:
        status = os.stat(path)
    except OSError:
        return -1, 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _write(path: str, values: dict[str, str], known: list[tuple[str, Signature, str]]) -> None:
    import contextlib
    import hashlib
    import secrets

    paths = "\0".join(name for name, _, _ in known).encode("utf-8", "surrogateescape")
    signatures = array("q", [number for _, signature, _ in known for number in signature]).tobytes()
    digests = b"".join(bytes.fromhex(digest) for _, _, digest in known)
    values = {**values, "count": str(len(known)), "length": str(len(paths))}
    rest = "\n".join(f"{name}={value}" for name, value in values.items()).encode() + b"\n\n" + paths + signatures + digests
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(f"{MAGIC} {hashlib.sha256(rest).hexdigest()}\n".encode() + rest)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
