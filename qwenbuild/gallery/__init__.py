"""The gallery: every entry as a card on one static page, its pictures small beside it, and contact sheets.

Knows no manifest, no network and no server; the review shows the same page and adds to it.
"""

from qwenbuild.gallery.cards import CardFacts, cards
from qwenbuild.gallery.folder import PageContents, WrittenGallery, write
from qwenbuild.gallery.page import page
from qwenbuild.gallery.revision import Before, lock_at
from qwenbuild.gallery.sources import FileRecipe, Sources
from qwenbuild.gallery.thumbs import LARGE, SMALL, TINY, Thumbnails

__all__ = [
    "LARGE",
    "SMALL",
    "TINY",
    "Before",
    "CardFacts",
    "FileRecipe",
    "PageContents",
    "Sources",
    "Thumbnails",
    "WrittenGallery",
    "cards",
    "lock_at",
    "page",
    "write",
]
