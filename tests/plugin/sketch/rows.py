"""What the provider is, as data: read when a manifest names it. Knows no class and imports nothing heavy."""

from __future__ import annotations

from qwenbuild.catalog import Family, Model

PENCIL = Model(
    "sketch",
    "pencil",
    default_size="64*64",
    area=(64, 1 << 20),
    params=("size",),
    price={},
    price_source="it is drawn on this machine",
    licence="yours",
    seconds=0.1,
    extra={"hardness": {"type": "integer", "min": 1, "max": 9, "default": 3, "doc": "how dark a line is, 1 to 9"}},
)

SKETCH = Family(
    name="sketch",
    provider="sketch.drawing:Sketch",
    default="pencil",
    models=(PENCIL,),
    regions={"": ""},
    unit="lines",
    settings={
        "paper": {"type": "choice", "values": ("cream", "white"), "default": "white", "doc": "what it is drawn on"},
    },
    recovery="resend",
    generative=False,
)
