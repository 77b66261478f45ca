"""Finds the manifest, and keeps what it reads inside its folder.

Knows nothing of what the files hold, and nothing of where pictures are written.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from qwenbuild.errors import InputError, Mark, Problem

NAMES = ("qwenbuild.yaml", "qwenbuild.yml")


def find(folder: Path, name: str | None) -> Path:
    """The manifest: `name` (of `-f`) in `folder`, else qwenbuild.yaml or qwenbuild.yml there.

    Raises InputError when there is none, and when both default names exist.
    """
    if name is not None:
        return _named(folder / name)
    candidates = [folder / each for each in NAMES if (folder / each).is_file()]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise _error(
            "two-manifests", f"both {NAMES[0]} and {NAMES[1]} are here", candidates[1], "remove one, or name one with -f"
        )
    where = f"{folder}" if str(folder) != "." else "this folder"
    raise _error("no-manifest", f"there is no {NAMES[0]} in {where}", None, "`qwenbuild init` writes one that builds at once")


def _named(path: Path) -> Path:
    if path.is_dir():
        raise _error("not-a-file", f"{path} is a folder, not a manifest", path, f"name the file: -f {path / NAMES[0]}")
    if not path.exists():
        raise _error("no-manifest", f"there is no file {path}", None, "`qwenbuild init` writes a manifest")
    return path


def _error(code: str, message: str, path: Path | None, hint: str) -> InputError:
    mark = Mark(str(path), 1, 1) if path else None
    return InputError(f"{message}; {hint}", code=code, problems=(Problem(code, message, mark, hint=hint),))


def inside(folder: Path, relative: str) -> Path:
    """The file or folder that `relative` names, links resolved. It need not exist.

    Raises ValueError with a sentence when it is not relative or leads out of `folder`: a manifest may come from
    someone else, and what it reads ends up in prompts.
    """
    reason = _not_relative(relative)
    if reason:
        raise ValueError(f"`{relative}` {reason}")
    try:
        root = folder.resolve()
        target = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"`{relative}` cannot be followed: {getattr(error, 'strerror', None) or error}") from None
    if target != root and root not in target.parents:
        raise ValueError(f"`{relative}` leads out of the manifest's folder")
    return target


def not_below(relative: str) -> str:
    """Why the path, as it is written, does not stay below the folder it starts from; "" when it does."""
    reason = _not_relative(relative)
    if not reason and ".." in PurePosixPath(relative).parts:
        return "leads out of the manifest's folder"
    return reason


def _not_relative(relative: str) -> str:
    if not relative.strip():
        return "is empty"
    if "\0" in relative:
        return "holds a character that no path has"
    if "\\" in relative:
        return "has a backslash; paths are written with / on every system"
    if PurePosixPath(relative).is_absolute() or PureWindowsPath(relative).drive or relative.startswith("~"):
        return "is not relative to the manifest's folder"
    return ""
