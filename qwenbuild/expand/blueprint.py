"""One asset ready to be multiplied: every field compiled once, then an Entry for each combination's variables.

Knows nothing of rows and axes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any

from qwenbuild.errors import InputError
from qwenbuild.expand.cells import (
    Cell,
    Context,
    Convert,
    FromFile,
    Path,
    file_cell,
    grouped,
    number,
    placed,
    text_cell,
    tree_cell,
    truth,
    whole,
    whole_value,
)
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.fields import Fields, FollowUp, follow_up
from qwenbuild.expand.findings import Findings
from qwenbuild.expand.inputs import References
from qwenbuild.expand.outputs import Output, expect_cell, outputs_of, place_of
from qwenbuild.expand.palettes import Palettes
from qwenbuild.expand.templates import Templates
from qwenbuild.later import later
from qwenbuild.model import Entry, OutputSpec

with later:
    from qwenbuild import checks

HIGHEST_SEED = 2**31 - 1
"""The highest seed that all hosted APIs take."""

MOST_VARIANTS = 100
LONGEST_ID = 1000
"""Characters of an id."""

DUE: dict[str, Convert] = {
    "prompt_extend": truth,
    "watermark": truth,
    "enable_thinking": truth,
    "num_inference_steps": whole(1, 1000),
    "steps": whole(1, 1000),
    "max_sequence_length": whole(1, 100_000),
    "guidance_scale": number,
    "true_cfg_scale": number,
    "cfg_scale": number,
    "flow_shift": number,
    "strength": number,
}
"""Parameters that are numbers or truth values, and how their rendered text is read; any other is text."""


class Blueprint:
    """The compiled fields of one asset."""

    def __init__(
        self, fields: Fields, templates: Templates, references: References, palettes: Palettes, findings: Findings
    ) -> None:
        self._fields = fields
        self._templates = templates
        self._findings = findings
        self.complete = True
        self._prompt = self._try(self._prompt_cell, Cell(""))
        self._model = self._try(self._model_cell, Cell(None))
        self._seed = self._try(lambda: self._whole("seed", 0, 0, HIGHEST_SEED), Cell(0))
        self._variants = self._try(lambda: self._whole("variants", 1, 1, MOST_VARIANTS), Cell(1))
        self._params = self._try(self._params_cell, Cell({}))
        self._tags = self._try(self._tags_cell, Cell(()))
        self._inputs = self._try(lambda: self._inputs_cell(references), Cell(()))
        self._expect = self._try(self._expect_cell, Cell(None))
        self._follow_up: FollowUp = self._try(lambda: follow_up(fields), FollowUp())
        self._outputs: list[Output] = self._try(lambda: outputs_of(fields, templates, palettes), [])
        self.id: Cell | None = self._try(self._id_cell, None)
        self._id_path = (*fields.path, "id")

    def entry(self, context: Context, default_id: str) -> Entry:
        """The entry for one combination. Raises Fault with the field's path."""
        name = default_id if self.id is None else self.id.get(context)
        if not name.isascii() or not name.isprintable() or not name or len(name) > LONGEST_ID:
            self._check_id(name)
        prompt = self._prompt.get(context)
        if not prompt:
            raise placed(Fault("empty-prompt", "the prompt is empty once rendered"), self._prompt_path())
        seed, variants = self._seed.get(context), self._variants.get(context)
        if seed + variants - 1 > HIGHEST_SEED:
            message = f"{variants} variants from seed {seed} go beyond the highest seed, {HIGHEST_SEED}"
            raise placed(Fault("out-of-range", message), (*self._fields.path, "seed"))
        expect = self._expect.get(context)
        alone, beside = (None, None) if expect is None else checks.split_expect(expect)
        return Entry(
            name,
            self._fields.name,
            self._fields.provider,
            self._model.get(context),
            prompt,
            self._params.get(context),
            seed,
            self._files(context, name),
            variants,
            self._inputs.get(context),
            alone,
            self._tags.get(context),
            beside,
            self._follow_up.on_fail,
            self._follow_up.attempts,
            self._follow_up.choose,
        )

    def place(self, entry: Entry, holder: tuple[str, str] | None) -> Path:
        """Where the manifest names what cannot be had twice: an output when a path is taken, else the id."""
        if holder is None:
            written = self._fields.own("id")
            return written.path if written else self._fields.path
        return place_of(self._fields, next((output.item for output in entry.outputs if output.path == holder[0]), 0))

    def _files(self, context: Context, name: str) -> tuple[OutputSpec, ...]:
        outputs = self._outputs
        if len(outputs) == 1:
            return outputs[0].get(context, name)
        return tuple([spec for output in outputs for spec in output.get(context, name)])

    def faults(self, context: Context, default_id: str) -> list[Fault]:
        """Every fault of one combination, field by field."""
        cells = [self._prompt, self._model, self._seed, self._variants, self._params, self._tags, self._inputs, self._expect]
        looks: list[Callable[[], Any]] = [partial(cell.get, context) for cell in ([self.id, *cells] if self.id else cells)]
        looks += [partial(output.get, context, default_id) for output in self._outputs]
        faults = []
        for look in looks:
            try:
                look()
            except Fault as fault:
                faults.append(fault)
        return faults

    def _try(self, make: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return make()
        except Fault as fault:
            self._findings.fault(placed(fault, self._fields.path))
        except InputError as error:
            self._findings.error(error)
        self.complete = False
        return otherwise

    def _prompt_path(self) -> Path:
        written = self._fields.either("prompt", "prompt_file")
        return written.path if written else self._fields.path

    def _prompt_cell(self) -> Cell:
        written = self._fields.either("prompt", "prompt_file")
        if written is None:
            raise Fault("no-prompt", f"the asset `{self._fields.name}` has no `prompt` and no `prompt_file`")
        if written.path[-1] == "prompt":
            return text_cell(written.value, self._templates, written.path)
        name = text_cell(written.value, self._templates, written.path)
        if name.constant:
            return file_cell(name.get({}), self._templates, written.path, None)
        return FromFile(name, self._templates, written.path)

    def _model_cell(self) -> Cell:
        written = self._fields.model()
        if written is None or written.path[0] == "providers":
            return Cell(written.value if written else None)
        return text_cell(written.value, self._templates, written.path)

    def _whole(self, name: str, otherwise: int, low: int, high: int) -> Cell:
        written = self._fields.own(name)
        if written is None:
            return Cell(otherwise)
        if isinstance(written.value, str):
            return text_cell(written.value, self._templates, written.path, whole(low, high))
        try:
            return Cell(whole_value(written.value, low, high))
        except Fault as fault:
            raise placed(fault, written.path) from None

    def _params_cell(self) -> Cell:
        params = self._fields.params()
        cells = [
            Cell(written.value)
            if written.path[0] == "providers"
            else tree_cell(written.value, self._templates, written.path, DUE.get, name)
            for name, written in params.items()
        ]
        return grouped(cells, lambda values: dict(zip(params, values, strict=True)))

    def _tags_cell(self) -> Cell:
        written = self._fields.own("tags")
        if written is None:
            return Cell(())
        cells = [text_cell(tag, self._templates, (*written.path, at)) for at, tag in enumerate(written.value)]
        return grouped(cells, lambda tags: tuple([tag for tag in dict.fromkeys(tags) if tag]))

    def _inputs_cell(self, references: References) -> Cell:
        written = self._fields.own("inputs")
        return Cell(()) if written is None else references.cell(written.value, self._templates, written.path)

    def _expect_cell(self) -> Cell:
        written = self._fields.own("expect")
        return Cell(None) if written is None else expect_cell(written.value, self._templates, written.path)

    def _id_cell(self) -> Cell | None:
        written = self._fields.own("id")
        return None if written is None else text_cell(written.value, self._templates, written.path)

    def _check_id(self, name: str) -> None:
        if not name:
            raise placed(Fault("empty-id", "the id is empty once rendered"), self._id_path)
        if len(name) > LONGEST_ID:
            raise placed(Fault("bad-id", f"an id has at most {LONGEST_ID:,} characters, this one {len(name):,}"), self._id_path)
        for character in name:
            if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
                message = f"the id {name[:40]!r} holds a character that cannot be seen (U+{ord(character):04X})"
                raise placed(Fault("bad-id", message), self._id_path)
