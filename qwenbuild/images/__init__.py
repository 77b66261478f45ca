"""Pictures: checked as they come, made into the files a user wants, measured, marked and packed.

Knows no network, no cache and no manifest. The only door of Pillow, which is imported at the first use that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qwenbuild.images.structure import Checked, check, extension_of, media_type_of, sniff

if TYPE_CHECKING:
    from qwenbuild.images.placeholder import placeholder_png

_LATER = {"placeholder_png": "placeholder"}

__all__ = ["Checked", "check", "extension_of", "media_type_of", "placeholder_png", "sniff"]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'qwenbuild.images' has no attribute {name!r}")
    return getattr(import_module(f"qwenbuild.images.{_LATER[name]}"), name)
