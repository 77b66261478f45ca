"""Pictures: checked as they come, made into the files a user wants, measured, marked and packed.

Knows no network, no cache and no manifest. The only door of Pillow, which is imported at the first use that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qwenbuild.images.integrity import Checked, NotWhole, check
from qwenbuild.images.structure import extension_of, media_type_of, reference_type, sniff

if TYPE_CHECKING:
    from qwenbuild.images.marks import FoundMark, Marks, find_marks, mark_lines, signed, write_marks
    from qwenbuild.images.measures import DecodedPicture, Measures, measure
    from qwenbuild.images.palettes import read_palette
    from qwenbuild.images.pipeline import convert, derive
    from qwenbuild.images.placeholder import placeholder_png
    from qwenbuild.images.plugin_steps import CheckFinding, PictureCheck, PipelineStep, PluginFailed, step_of
    from qwenbuild.images.sheets import contact_sheet, difference, differing, stages, thumbnail
    from qwenbuild.images.sizes import SizeFault, final_size
    from qwenbuild.images.steps import normalise, step_schemas

_LATER = {
    "CheckFinding": "plugin_steps",
    "DecodedPicture": "measures",
    "FoundMark": "marks",
    "Marks": "marks",
    "Measures": "measures",
    "PictureCheck": "plugin_steps",
    "PipelineStep": "plugin_steps",
    "PluginFailed": "plugin_steps",
    "SizeFault": "sizes",
    "contact_sheet": "sheets",
    "convert": "pipeline",
    "derive": "pipeline",
    "difference": "sheets",
    "differing": "sheets",
    "final_size": "sizes",
    "find_marks": "marks",
    "mark_lines": "marks",
    "measure": "measures",
    "normalise": "steps",
    "placeholder_png": "placeholder",
    "read_palette": "palettes",
    "signed": "marks",
    "stages": "sheets",
    "step_of": "plugin_steps",
    "step_schemas": "steps",
    "thumbnail": "sheets",
    "write_marks": "marks",
}

__all__ = [
    "CheckFinding",
    "Checked",
    "DecodedPicture",
    "FoundMark",
    "Marks",
    "Measures",
    "NotWhole",
    "PictureCheck",
    "PipelineStep",
    "PluginFailed",
    "SizeFault",
    "check",
    "contact_sheet",
    "convert",
    "derive",
    "difference",
    "differing",
    "extension_of",
    "final_size",
    "find_marks",
    "load_all",
    "mark_lines",
    "measure",
    "media_type_of",
    "normalise",
    "placeholder_png",
    "read_palette",
    "reference_type",
    "signed",
    "sniff",
    "stages",
    "step_of",
    "step_schemas",
    "thumbnail",
    "write_marks",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'qwenbuild.images' has no attribute {name!r}")
    return getattr(import_module(f"qwenbuild.images.{_LATER[name]}"), name)


def load_all() -> None:
    """Import every module of this package, and Pillow with its formats, while nothing depends on it.

    The code of plug-ins, too. Raises ImportError, InputError.
    """
    from PIL import Image

    for module in sorted(set(_LATER.values())):
        import_module(f"qwenbuild.images.{module}")
    Image.init()
    import_module("qwenbuild.images.plugin_steps").load_used()
