"""What each API and each of its models takes, costs and bears, as rows: data with sources and dates.

Knows no manifest and no network.
"""

from __future__ import annotations

from qwenbuild.catalog.family import FAMILIES, STAMP, WORKSPACE, Families, Family, example, is_free, read_on, units
from qwenbuild.catalog.model import FIELDS, OVERRIDABLE, Model
from qwenbuild.catalog.table import Catalog
from qwenbuild.catalog.tariff import Tariff, Tier

__all__ = [
    "FAMILIES",
    "FIELDS",
    "OVERRIDABLE",
    "STAMP",
    "WORKSPACE",
    "Catalog",
    "Families",
    "Family",
    "Model",
    "Tariff",
    "Tier",
    "example",
    "is_free",
    "read_on",
    "units",
]
