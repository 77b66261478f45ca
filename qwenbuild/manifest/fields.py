"""The types of the manifest's fields: each reads a plain value, or says in a sentence what was expected.

Knows single values only: neither where they stand nor how they go together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from qwenbuild import nearmiss
from qwenbuild.catalog import FAMILIES
from qwenbuild.manifest.credentials import masked
from qwenbuild.manifest.scalars import is_template, scalar
from qwenbuild.nearmiss import did_you_mean

TEMPLATE = r"\{[{%#]"
"""What a JSON schema takes for a template."""

HIGHEST_SEED = 2**31 - 1
"""The highest seed that every one of the hosted APIs takes."""

SIZE = re.compile(r"[1-9][0-9]{0,4} *[*xX] *[1-9][0-9]{0,4}|[1-9][0-9]{0,3} *: *[1-9][0-9]{0,3}")
QUOTE = "put it in quotes"
"""The hint for a scalar where text is due; who knows what was written adds it."""

MOST_KNOWN = 1_000
"""Names that are compared for a near miss: each comparison takes microseconds."""

TYPES = tuple(FAMILIES.built_in())
"""The built-in providers."""

_DISTANCE_MAX = 1_000_000_000
"""Bounds of a number whose description has none."""

_AMOUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,12})?")

Check = Callable[[Any], Any]


def wrong(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """What a field's type raises: a code, a sentence, and how to mend it."""
    return PydanticCustomError(code, "{message}", {"message": message, "hint": hint})


def kind(value: Any) -> str:
    """What `value` is, in words, short and without credentials."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        shown = masked(value if len(value) <= 60 else f"{value[:57]}…")
        return f'"{shown}"' if value else "an empty text"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def near(word: str, names: Sequence[str]) -> str:
    """The hint for a word that is none of `names`: the near miss, else all of them."""
    names = names[:MOST_KNOWN]
    return did_you_mean(nearmiss.near(word, names)) or listed("known here:", names)


def listed(what: str, names: Sequence[str]) -> str:
    """`names here: a, b, c`, at most a line of it."""
    text = ", ".join(names)
    return f"{what} {text}" if len(text) <= 200 else f"{what} {text[:200].rpartition(',')[0]}, …"


# ---------------------------------------------------------------- templates and what they stand for


def _read(value: Any) -> Any:
    """A text without a template means what YAML would read it as; so does the text that a template renders to."""
    return scalar(value.strip()) if isinstance(value, str) else value


def _or_template(check: Check) -> Check:
    def checked(value: Any) -> Any:
        return value if isinstance(value, str) and is_template(value) else check(value)

    return checked


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        number = _read(value)
        if isinstance(number, bool) or not isinstance(number, int):
            raise wrong("type", f"must be a whole number from {low} to {high}, not {kind(value)}", _zeros(value))
        if not low <= number <= high:
            raise wrong("range", f"must be a whole number from {low} to {high}, not {number}")
        return number

    return check


def _or_never(low: int, high: int) -> Check:
    """A whole number, or `false` for never, which is 0."""

    def check(value: Any) -> Any:
        return 0 if _read(value) is False else _whole(low, high)(value)

    return check


def _zeros(value: Any) -> str:
    digits = value.strip() if isinstance(value, str) else ""
    return f"a number has no leading zeros: {int(digits)}" if digits.isdecimal() and 1 < len(digits) < 20 else ""


def _number(low: float, high: float, *, above: bool = False) -> Check:
    """A finite number from `low` (or above it) to `high`."""
    bounds = f"{'above' if above else 'from'} {low:g} {'and at most' if above else 'to'} {high:g}"

    def check(value: Any) -> int | float:
        number = _read(value)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise wrong("type", f"must be a number {bounds}, not {kind(value)}", _zeros(value))
        if not low <= number <= high or (above and number == low):
            raise wrong("range", f"must be a number {bounds}, not {kind(value).removeprefix('the number ')}")
        return number

    return check


def _truth(value: Any) -> bool:
    read = _read(value)
    if isinstance(read, bool):
        return read
    words = {"yes": "true", "on": "true", "y": "true", "1": "true", "no": "false", "off": "false", "n": "false", "0": "false"}
    word = words.get(str(value).lower())
    raise wrong("type", f"must be true or false, not {kind(value)}", f"write {word}" if word else "")


def _one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong("type", f"must be one of {', '.join(words)}, not {kind(value)}")
        if value not in words:
            raise wrong("choice", f"must be one of {', '.join(words)}, not {kind(value)}", near(value, words))
        return value

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong("type", f"must be text, not {kind(value)}", QUOTE if isinstance(value, int | float) else "")
    return value


def _some_text(value: Any) -> str:
    if not _text(value).strip():
        raise wrong("empty", "must not be empty")
    return str(value)


def _size(value: Any) -> str:
    text = _text(value).strip()
    if not SIZE.fullmatch(text):
        raise wrong("size", f"must be W*H in pixels or a ratio, not {kind(value)}", 'such as "1328*1328" or "16:9"')
    return text


def _amount(value: Any) -> Decimal:
    text = value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else ""
    if isinstance(value, bool) or not _AMOUNT.fullmatch(text):
        raise wrong("amount", f"must be an amount, not {kind(value)}", 'such as "5.00" or 60')
    return Decimal(text)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise wrong("type", f"must be a text, a number, true or false, not {kind(value)}")
    return value


def _or_null(check: Check) -> Check:
    def checked(value: Any) -> Any:
        return None if value is None else check(value)

    return checked


# ---------------------------------------------------------------- the types, each with its JSON schema


def _templated(schema: dict[str, Any], also: str = "") -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "string", "pattern": f"{TEMPLATE}{also}"}]}


_SEED_SCHEMA = _templated({"type": "integer", "minimum": 0, "maximum": HIGHEST_SEED}, "|^[0-9]+$")
_VARIANTS_SCHEMA = _templated({"type": "integer", "minimum": 1, "maximum": 100}, "|^[0-9]+$")
_SIZE_PATTERN = rf"{TEMPLATE}|^ *(?:{SIZE.pattern}) *$"
_AMOUNT_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_AMOUNT.pattern}$"}]}

Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
SomeText = Annotated[str, PlainValidator(_some_text), WithJsonSchema({"type": "string", "minLength": 1})]
Seed = Annotated[int | str, PlainValidator(_or_template(_whole(0, HIGHEST_SEED))), WithJsonSchema(_SEED_SCHEMA)]
Variants = Annotated[int | str, PlainValidator(_or_template(_whole(1, 100))), WithJsonSchema(_VARIANTS_SCHEMA)]
Whole = Annotated[int, PlainValidator(_whole(-_DISTANCE_MAX, _DISTANCE_MAX)), WithJsonSchema({"type": "integer"})]
Scalar = Annotated[Any, PlainValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Number = Annotated[float, PlainValidator(_number(-_DISTANCE_MAX, _DISTANCE_MAX)), WithJsonSchema({"type": "number"})]
Truth = Annotated[bool, PlainValidator(_truth), WithJsonSchema({"type": "boolean"})]
Amount = Annotated[Decimal, PlainValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
Count = Annotated[
    int, PlainValidator(_whole(0, 1_000_000_000)), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 1_000_000_000})
]
AtLeastOnePixel = Annotated[
    int, PlainValidator(_whole(1, 1_000_000_000)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1_000_000_000})
]
AtLeastOne = Annotated[
    int, PlainValidator(_whole(1, 100_000)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 100_000})
]
Failures = Annotated[
    int,
    PlainValidator(_or_never(1, 1000)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, {"const": False}]}),
]
Rate = Annotated[
    float,
    PlainValidator(_number(0, 1000, above=True)),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1000}),
]
RateByMinute = Annotated[
    float,
    PlainValidator(_number(0, 60_000, above=True)),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 60_000}),
]
Seconds = Annotated[
    float,
    PlainValidator(_number(0, 86_400, above=True)),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 86_400}),
]
Provenance = Annotated[str, PlainValidator(_one_of("off", "marks", "full")), WithJsonSchema({"enum": ["off", "marks", "full"]})]
Trust = Annotated[str, PlainValidator(_one_of("lockfile", "keys")), WithJsonSchema({"enum": ["lockfile", "keys"]})]


def words(*allowed: str) -> Any:
    """The type of one of a few words."""
    return Annotated[str, PlainValidator(_one_of(*allowed)), WithJsonSchema({"enum": list(allowed)})]


OnFail = words("fail", "warn", "reroll")
Choose = words("first", "best")
Attempts = Annotated[int, PlainValidator(_whole(1, 10)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10})]


def setting(described: Mapping[str, Any]) -> Any:
    """The type of a provider's setting, as its family's row describes it."""
    if described["type"] == "choice":
        return words(*described["values"])
    return {"text": SomeText, "boolean": Truth, "integer": Whole, "number": Number}[described["type"]]


def _param(check: Check) -> PlainValidator:
    """A drawing parameter may be a template, and null removes what stands below it."""
    return PlainValidator(_or_null(_or_template(check)))


def _param_schema(schema: dict[str, Any], also: str = "") -> WithJsonSchema:
    choices = [schema] if schema["type"] == "string" else [schema, {"type": "string", "pattern": f"{TEMPLATE}{also}"}]
    return WithJsonSchema({"anyOf": [*choices, {"type": "null"}]})


def _words_schema(*words: str) -> WithJsonSchema:
    return _param_schema({"type": "string", "pattern": f"{TEMPLATE}|^({'|'.join(words)})$"})


ParamSize = Annotated[str | None, _param(_size), _param_schema({"type": "string", "pattern": _SIZE_PATTERN})]
ParamText = Annotated[str | None, _param(_text), _param_schema({"type": "string"})]
ParamTruth = Annotated[bool | str | None, _param(_truth), _param_schema({"type": "boolean"}, "|^(true|false)$")]
ParamSteps = Annotated[
    int | str | None, _param(_whole(1, 1000)), _param_schema({"type": "integer", "minimum": 1, "maximum": 1000}, "|^[0-9]+$")
]
ParamScale = Annotated[
    float | str | None, _param(_number(0, 100)), _param_schema({"type": "number", "minimum": 0, "maximum": 100}, "|^[0-9.]+$")
]
ParamFormat = Annotated[str | None, _param(_one_of("png", "jpeg", "webp")), _words_schema("png", "jpeg", "webp")]
ParamExtendMode = Annotated[str | None, _param(_one_of("direct", "agent")), _words_schema("direct", "agent")]
ParamShare = Annotated[
    float | str | None, _param(_number(0, 1)), _param_schema({"type": "number", "minimum": 0, "maximum": 1}, "|^[0-9.]+$")
]
ParamDevice = Annotated[str | None, _param(_one_of("cpu", "cuda")), _words_schema("cpu", "cuda")]
ParamAcceleration = Annotated[str | None, _param(_one_of("none", "regular", "high")), _words_schema("none", "regular", "high")]
ParamTask = Annotated[
    str | None,
    _param(_one_of("text-to-image", "image-to-image", "image-edit")),
    _words_schema("text-to-image", "image-to-image", "image-edit"),
]
ParamScalar = Annotated[Any, _param(_scalar), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]


def parameter(described: Mapping[str, Any]) -> Any:
    """The type of a drawing parameter, as its model's row describes it."""
    low, high = described.get("min", -_DISTANCE_MAX), described.get("max", _DISTANCE_MAX)
    bounds = {"minimum": low, "maximum": high}
    if described["type"] == "integer":
        schema = _param_schema({"type": "integer", **bounds}, "|^-?[0-9]+$")
        return Annotated[Any, _param(_whole(low, high)), schema]
    if described["type"] == "number":
        return Annotated[Any, _param(_number(low, high)), _param_schema({"type": "number", **bounds}, "|^-?[0-9.]+$")]
    if described["type"] == "choice":
        return Annotated[Any, _param(_one_of(*described["values"])), _words_schema(*map(re.escape, described["values"]))]
    return ParamTruth if described["type"] == "boolean" else ParamScalar
