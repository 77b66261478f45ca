"""The cache: what was paid for, kept, found again, and never bought twice.

Knows no manifest and no provider; docs/cache.md has the layout and the order of writes.
"""

from qwenbuild.cache.attempts import Attempt, AttemptState, Busy, Intent
from qwenbuild.cache.blobs import BlobCorrupt
from qwenbuild.cache.location import cache_dir
from qwenbuild.cache.vault import Cache

__all__ = ["Attempt", "AttemptState", "BlobCorrupt", "Busy", "Cache", "Intent", "cache_dir"]
