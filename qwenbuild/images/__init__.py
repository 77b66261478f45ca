"""Pictures: checked as they come, made into the files a user wants, measured, marked and packed.

Knows no network, no cache and no manifest. The only door of Pillow, which is imported at the first use that needs it.
"""

from __future__ import annotations

from qwenbuild.images.structure import Checked, check, extension_of, media_type_of, sniff

__all__ = ["Checked", "check", "extension_of", "media_type_of", "sniff"]
