"""The atlases as the page shows them: every sheet that ships, with the frame of each picture that is in it.

Knows no packer: it reads the JSON that lies beside a sheet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from qwenbuild.model import AtlasPlan, LockAtlas, Verdict

Atlas = dict[str, Any]
_STATES = {Verdict.FRESH: "", Verdict.MODIFIED: "changed by hand", Verdict.ORPHAN: "no longer in the manifest"}


def atlases(plans: Sequence[AtlasPlan], locked: Mapping[str, LockAtlas], root: Path) -> list[Atlas]:
    """Every atlas with its sheets, as JSON values. `root` is the output tree."""
    return [_atlas(each, locked.get(each.name, LockAtlas()), root) for each in plans]


def _atlas(each: AtlasPlan, record: LockAtlas, root: Path) -> Atlas:
    paths = [path for path in (each.outputs or tuple(record.outputs)) if path.endswith(".png")]
    return {
        "name": each.name,
        "state": _STATES.get(each.verdict, "to be packed"),
        "reason": each.reason,
        "members": [[id, path] for id, path in each.members],
        "sheets": [_sheet(path, root) for path in paths],
    }


def _sheet(path: str, root: Path) -> Atlas:
    data = _bytes(root / path)
    record = _record(root / PurePosixPath(path).with_suffix(".json"))
    return {
        "path": path,
        "digest": hashlib.sha256(data).hexdigest() if data else "",
        "state": "" if data else "missing",
        "bytes": len(data),
        "size": _pair(record.get("meta", {}).get("size")),
        "frames": dict(_frames(record)),
    }


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _record(path: Path) -> dict[str, Any]:
    """The JSON beside a sheet; nothing where it is missing, or is none of ours."""
    try:
        record = json.loads(_bytes(path))
    except ValueError:
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("frames"), dict) else {}


def _pair(size: Any) -> list[int] | None:
    is_size = isinstance(size, dict) and all(type(size.get(side)) is int for side in "wh")
    return [size["w"], size["h"]] if is_size else None


def _frames(record: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Each picture's name, and left, top, width and height of its frame in pixels."""
    for name, value in record.get("frames", {}).items():
        box = value.get("frame") if isinstance(value, dict) else None
        if isinstance(box, dict) and all(type(box.get(side)) is int for side in "xywh"):
            yield str(name), [box["x"], box["y"], box["w"], box["h"]]


def digests(atlases: Sequence[Atlas]) -> Iterator[str]:
    """Every sheet that can be shown."""
    for atlas in atlases:
        yield from (sheet["digest"] for sheet in atlas["sheets"] if sheet["digest"])
