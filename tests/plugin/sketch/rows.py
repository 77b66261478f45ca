"""What the provider, the step and the check are, as data: read when a manifest names one. Imports nothing heavy."""

from __future__ import annotations

from qwenbuild.catalog import Family, Model
from qwenbuild.images import PictureCheck, PipelineStep
from qwenbuild.images.arguments import choice, whole

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

SEPIA = PipelineStep(
    name="sepia",
    apply="sketch.pixels:sepia",
    arguments={
        "percent": whole(0, 100, 100, "how much of it, in percent"),
        "shade": choice(("warm", "cold"), "warm", "which brown"),
    },
    main="percent",
    keeps_size=True,
)

DARKEST = PictureCheck(
    name="darkest",
    judge="sketch.pixels:darkest",
    value=whole(0, 255, None, "the darkest that a pixel may be"),
)
