"""The row of an API that keeps a list of its tasks."""

from __future__ import annotations

from decimal import Decimal

from qwenbuild.catalog import Family, Model

OIL = Model(
    "paid",
    "oil",
    calls=("async",),
    default_size="512*512",
    params=("size",),
    price={"coins": Decimal(2)},
    extra={"thickness": {"type": "integer", "min": 1, "max": 9, "doc": "of the paint; the server's own when it is not said"}},
)

PAID = Family(
    name="paid",
    provider="paid.asking:Paid",
    default="oil",
    models=(OIL,),
    unit="coins",
    key_env="PAID_API_KEY",
    recovery="listing",
    regions={"eu": "https://eu.paid.example", "us": "https://us.paid.example"},
    hosts=("*.paid.example",),
    settings={"region": {"type": "choice", "values": ("eu", "us"), "default": "eu", "doc": "where it is drawn"}},
)
