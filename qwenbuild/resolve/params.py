"""Read the parameters of one request against its model: types, sizes, and what the API cannot express.

Knows no entry's prompt and no other entry: what it finds wrong it hands to `wrong` and `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from qwenbuild.catalog import Catalog, Model
from qwenbuild.key import FIELDS, decimal_text
from qwenbuild.model import ProviderSettings
from qwenbuild.nearmiss import did_you_mean, near

COMMON = ("size", "negative_prompt", "prompt_extend", "watermark", "output_format")
FORMATS = {"jpg": "jpeg"}
MISPLACED = {
    "seed": "write `seed:` beside `params`, not in it",
    "n": "one picture a request; write `variants:` beside `params` for several candidates",
    "model": "write `model:` beside `params`, not in it",
    "prompt": "write `prompt:` beside `params`, not in it",
}
RESERVED = {*FIELDS, "v", "n"} - set(COMMON)


Say = Callable[[str, str, str, str, bool], None]
"""Code, parameter, message, hint, and whether it is a notice only."""


class RequestParams:
    """The parameters of one request, read and checked against its model."""

    def __init__(self, given: Mapping[str, Any], settings: ProviderSettings, model: Model, catalog: Catalog, say: Say) -> None:
        self.settings = settings
        self.model = model
        self.catalog = catalog
        self.say = say
        self.given = {name: value for name, value in given.items() if value is not None}
        self.good = True

    def base(self) -> dict[str, Any] | None:
        """The Action's shared fields, or None after saying what is wrong."""
        self._known_names()
        base = {
            "family": self.model.family,
            "model": self.model.id,
            "size": self._size(),
            "negative_prompt": self._negative_prompt(),
            "prompt_extend": self._truth("prompt_extend", self.model.prompt_extend),
            "watermark": self._truth("watermark", self.model.watermark),
            "output_format": self._output_format(),
            "weights": (self.settings.weights or "") if "weights" in self.catalog.families[self.model.family].settings else "",
            "extra": tuple(sorted(self._extra())),
        }
        return base if self.good else None

    def _wrong(self, code: str, name: str, message: str, hint: str = "") -> None:
        self.good = False
        self.say(code, name, message, hint, False)

    def _known_names(self) -> None:
        for name, value in self.given.items():
            if name == "n" and ((value == 1 and value is not True) or self.model.any_param):
                continue
            if name in COMMON or name in self.model.extra or (self.model.any_param and name not in RESERVED and name.isascii()):
                continue
            self._unknown(name, value)

    def _unknown(self, name: str, value: Any) -> None:
        elsewhere = any(name in row.extra for row in self.catalog.rows())
        if elsewhere and value in (False, ""):
            return
        if elsewhere:
            self._wrong("not-expressible", name, f"{self.model.id} of {self.model.family} cannot express {name}")
            return
        names = [*COMMON, *self.model.extra]
        hint = MISPLACED.get(name) or did_you_mean(near(name, names), quote="") or f"it takes {', '.join(names)}"
        self._wrong("unknown-param", name, f"{self.model.family} has no parameter {name!r}", hint)

    def _expressible(self, name: str) -> bool:
        if name in self.model.params:
            return True
        if self.given.get(name) not in (None, False, ""):
            self._wrong("not-expressible", name, f"{self.model.id} of {self.model.family} cannot express {name}")
        return False

    def _size(self) -> str:
        if not self.given.get("size") or not self._expressible("size"):
            return self.model.default_size
        text = str(self.given["size"])
        try:
            size, note = self.model.size(text, unlisted=self.settings.allow_unlisted_size, dialect=self.settings.dialect)
        except ValueError as error:
            hint = (
                ""
                if self.model.ratios or not self.model.sizes
                else "`allow_unlisted_size: true` of the provider sends it anyway"
            )
            self._wrong("size", "size", str(error), hint)
            return text
        if note:
            self.say("size-rounded", "size", note, "", True)
        return size

    def _negative_prompt(self) -> str:
        if not self._expressible("negative_prompt"):
            return ""
        text = self.given.get("negative_prompt", "")
        if not isinstance(text, str):
            self._wrong("param-type", "negative_prompt", f"expected a text, not {text!r}")
            return ""
        limit = self.model.negative_limit
        if limit is not None and len(text) > limit:
            self._negative_too_long(text, limit)
        return text or self.model.negative_empty

    def _negative_too_long(self, text: str, limit: int) -> None:
        cut = self.model.over == "cut"
        self.good = self.good and cut
        what = "cuts it" if cut else "refuses it"
        message = f"the negative prompt has {len(text)} characters; {self.model.id} {what} at {limit}"
        self.say("negative-prompt-too-long", "negative_prompt", message, "", cut)

    def _truth(self, name: str, default: bool) -> bool:
        if not self._expressible(name):
            return False
        value = self._read(name, {"type": "boolean"}, self.given.get(name, default))
        return value is True

    def _output_format(self) -> str:
        written = str(self.given.get("output_format") or self.model.output_format).lower()
        output_format = FORMATS.get(written, written)
        if self.model.any_param:
            return self.model.output_format
        if output_format not in self.model.formats:
            formats = ", ".join(self.model.formats)
            message = f"{self.model.id} of {self.model.family} cannot express the output format {written}: it takes {formats}"
            self._wrong("not-expressible", "output_format", message)
        return output_format

    def _extra(self) -> Iterable[tuple[str, str | int | bool]]:
        described = self.model.extra
        names = {*described, *(self.given if self.model.any_param else ())} - set(COMMON) - {"n"}
        for name in names:
            value = self.given.get(name, described.get(name, {}).get("default"))
            if value is not None and value != "" and name not in RESERVED:
                yield name, self._read(name, described.get(name, {"type": "any"}), value)

    def _read(self, name: str, described: Mapping[str, Any], value: Any) -> str | int | bool:
        try:
            typed = READERS[described["type"]](value, described)
        except (ValueError, ArithmeticError):
            self._wrong("param-type", name, f"expected {_expected(described)}, not {value!r}")
            return ""
        return typed


def earlier(given: Mapping[str, Any], settings: ProviderSettings, model: Model, catalog: Catalog) -> dict[str, tuple[Any, ...]]:
    """Field to the values that earlier editions of the model's row would have given for the same request."""
    now = RequestParams(given, settings, model, catalog, _silent).base() or {}
    values: dict[str, tuple[Any, ...]] = {}
    for row in catalog.editions(model):
        then = RequestParams(given, settings, row, catalog, _silent).base() or {}
        for name, value in _flat(then):
            if value != dict(_flat(now)).get(name):
                values[name] = (*values.get(name, ()), value)
    return values


def _flat(base: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    yield from ((name, value) for name, value in base.items() if name != "extra")
    yield from base.get("extra", ())


def _silent(code: str, name: str, message: str, hint: str, notice: bool) -> None:
    """Earlier editions are only asked for values."""


def _expected(described: Mapping[str, Any]) -> str:
    if described["type"] == "choice":
        return "one of " + ", ".join(described["values"])
    what = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "any": "a scalar"}[described["type"]]
    return f"{what} from {described['min']} to {described['max']}" if "min" in described else what


def _boolean(value: Any, described: Mapping[str, Any]) -> bool:
    if value in (True, False) and isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError


def _bounded(number: Decimal, described: Mapping[str, Any]) -> Decimal:
    if not number.is_finite() or not described.get("min", number) <= number <= described.get("max", number):
        raise ValueError
    return number


def _integer(value: Any, described: Mapping[str, Any]) -> int:
    if isinstance(value, bool | float):
        raise ValueError
    return int(_bounded(Decimal(int(value)), described))


def _number(value: Any, described: Mapping[str, Any]) -> str:
    if isinstance(value, bool):
        raise ValueError
    return decimal_text(_bounded(Decimal(str(value)), described))


def _choice(value: Any, described: Mapping[str, Any]) -> str:
    if value not in described["values"]:
        raise ValueError
    return str(value)


def _any(value: Any, described: Mapping[str, Any]) -> str | int | bool:
    if isinstance(value, float | Decimal):
        return _number(value, described)
    if isinstance(value, str | int):
        return value
    raise ValueError


READERS: Mapping[str, Callable[[Any, Mapping[str, Any]], str | int | bool]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "choice": _choice,
    "any": _any,
}
