"""A bug's traceback in a log file, with whatever looks like a secret blanked out; never the values of variables.

Does not know what went wrong.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from pathlib import Path

from qwenbuild import __version__

_LOOKS_SECRET = re.compile(
    r"(?P<head>\bsk-|\bafk_|\b(?:Bearer|Key|Basic)\s+"
    r"|(?i:x-api-key|authorization|api[_-]?key)['\"]?\s*[:=]\s*['\"]?(?:(?:Bearer|Key|Basic)\s+)?)"
    r"[\w.~+/=:-]{6,}"
)
_QUERY = re.compile(r"(https?://[^\s'\"?]+)\?[^\s'\"]+")
_USERINFO = re.compile(r"(https?://)[^\s/'\"@]+@")


def write_log(text: str) -> Path | None:
    """Write `text`, redacted, into the cache's folder or a temporary one; the path, or None when neither can be written."""
    head = f"qwenbuild {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}\n"
    head += f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}  {' '.join(sys.argv[1:2])}\n\n"
    content = redacted(head + text).encode("utf-8", "backslashreplace")
    return next((path for folder in _folders() if (path := _written(folder, content)) is not None), None)


def redacted(text: str) -> str:
    """`text` without the values of known keys, without what looks like one, and without the queries of links."""
    for value in _known():
        text = text.replace(value, "***")
    text = _QUERY.sub(r"\1?***", _USERINFO.sub(r"\1***@", text))
    return _LOOKS_SECRET.sub(lambda match: match["head"] + "***", text)


def _known() -> list[str]:
    """Values of the environment that are credentials by their name; the longest first."""
    words = ("_KEY", "_SECRET", "_TOKEN", "_PASSWORD")
    values = [value for name, value in os.environ.items() if name.upper().endswith(words) and len(value) >= 6]
    return sorted(values, key=len, reverse=True)


def _folders() -> list[Path | None]:
    cache_dir = os.environ.get("QWENBUILD_CACHE_DIR")
    return [Path(cache_dir) if cache_dir else _data_folder(), None]


def _data_folder() -> Path | None:
    from platformdirs import user_data_path

    folder = user_data_path("qwenbuild", appauthor=False)
    return folder if folder.is_dir() else None


def _written(folder: Path | None, content: bytes) -> Path | None:
    """A new file in `folder` (None: the system's temporary one), for its owner only; None when that cannot be."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"crash-{stamp}-", suffix=".log", dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        return None
    return Path(name)
