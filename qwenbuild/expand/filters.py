"""The filters, methods and globals a template may use, each with its cost counted before anything large is made.

Knows no environment: everything here works on plain values and a budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import TemplateRuntimeError
from jinja2.utils import Namespace

from qwenbuild.expand.budget import MOST_BITS, Budget, Overspent
from qwenbuild.expand.slugs import slug
from qwenbuild.expand.values import MISSING, kind_of, printed

MOST_RANGE = 1000
MOST_DIGITS = 30
"""Most digits that `round` keeps or drops."""

_WORD = re.compile(r"\w+")


def filters(budget: Budget) -> dict[str, Callable[..., Any]]:
    """The allowed filters by name."""
    box = Filters(budget)
    names = (
        "capitalize default first indent join last length lower replace reverse round sort title trim truncate "
        "unique upper wordcount slug int float"
    )
    return {name: getattr(box, name if hasattr(box, name) else f"{name}_") for name in names.split()}


def globals_(budget: Budget) -> dict[str, Any]:
    """The allowed globals by name."""
    return {"range": short_range, "dict": partial(counted_dict, budget), "namespace": Namespace}


def short_range(*bounds: int) -> range:
    """`range` of at most MOST_RANGE numbers."""
    numbers = range(*bounds)
    if len(numbers[: MOST_RANGE + 1]) > MOST_RANGE:
        raise Overspent(f"range() gives at most {MOST_RANGE:,} numbers")
    return numbers


def counted_dict(budget: Budget, *args: Any, **kwargs: Any) -> dict[Any, Any]:
    """`dict`, of what was counted."""
    budget.weigh(args)
    return dict(*args, **kwargs)


def small(value: Any) -> Any:
    """The number, unless it is an integer too large to be wanted."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise Overspent("an integer of more than 77 digits")
    return value


def attribute(item: Any, path: str | int | None) -> Any:
    """The part of `item` that a dotted `path` names; `item` itself without one. Raises TemplateRuntimeError."""
    if path is None:
        return item
    for name in str(path).split("."):
        if isinstance(item, dict):
            value = item.get(name, MISSING)
        elif isinstance(item, (list, tuple)) and name.isdecimal() and int(name) < len(item):
            value = item[int(name)]
        else:
            value = MISSING
        if value is MISSING:
            raise TemplateRuntimeError(f"{kind_of(item)} has no {name!r}")
        item = value
    return item


def _known(value: Any) -> Any:
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return value


class Filters:
    """The filters; each method is one, called with the value first."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def text(self, value: Any) -> str:
        """The value as it would print, counted."""
        text = printed(_known(value))
        self._budget.fits(len(text))
        return text

    def items(self, value: Any) -> list[Any]:
        """What is in a list, mapping, range or text, counted."""
        if not isinstance(_known(value), (str, list, tuple, dict, range, type({}.keys()), type({}.values()), type({}.items()))):
            raise TemplateRuntimeError(f"{kind_of(value)} is not a list")
        self._budget.weigh(value)
        return list(value)

    def capitalize(self, value: Any) -> str:
        """First letter upper case, the rest lower."""
        return self.text(value).capitalize()

    def lower(self, value: Any) -> str:
        """Lower case."""
        return self.text(value).lower()

    def upper(self, value: Any) -> str:
        """Upper case."""
        return self._budget.made(self.text(value).upper())

    def title(self, value: Any) -> str:
        """Each word with a capital."""
        return re.sub(r"[^-\s({\[<]+", lambda word: word[0][0].upper() + word[0][1:].lower(), self._words(value))

    def trim(self, value: Any, chars: str | None = None) -> str:
        """Both ends stripped."""
        return self.text(value).strip(chars)

    def slug(self, value: Any) -> str:
        """The part that is safe in an id or a path."""
        return slug(self.text(value))

    def wordcount(self, value: Any) -> int:
        """How many words."""
        return len(_WORD.findall(self._words(value)))

    def length(self, value: Any) -> int:
        """How many items or characters."""
        _known(value)
        try:
            return len(value)
        except TypeError:
            raise TemplateRuntimeError(f"{kind_of(value)} has no length") from None

    def default(self, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
        """Another value for what is undefined, or with `true` for what is empty."""
        return default_value if isinstance(value, Undefined) or (boolean and not value) else value

    def first(self, value: Any) -> Any:
        """The first item."""
        return self._at(value, 0)

    def last(self, value: Any) -> Any:
        """The last item."""
        return self._at(value, -1)

    def reverse(self, value: Any) -> Any:
        """The other way round."""
        return self.text(value)[::-1] if isinstance(value, str) else self.items(value)[::-1]

    def sort(
        self, value: Any, reverse: bool = False, case_sensitive: bool = False, attribute: str | int | None = None
    ) -> list[Any]:
        """Sorted, capitals like small letters unless told; by a comma-separated list of attributes when named."""
        items = self.items(value)
        self._budget.spend(len(items) * len(items).bit_length())
        return sorted(items, key=self._sort_key(case_sensitive, attribute), reverse=bool(reverse))

    def unique(self, value: Any, case_sensitive: bool = False, attribute: str | int | None = None) -> list[Any]:
        """Each item once, the first that came."""
        key = self._sort_key(case_sensitive, attribute)
        seen: dict[Any, Any] = {}
        for item in self.items(value):
            seen.setdefault(key(item), item)
        return list(seen.values())

    def join(self, value: Any, d: str = "", attribute: str | int | None = None) -> str:
        """The items as they print, with `d` between them."""
        items = [printed(_known(_part(item, attribute))) for item in self.items(value)]
        between = printed(d)
        self._budget.fits(sum(map(len, items)) + len(between) * max(len(items) - 1, 0))
        return between.join(items)

    def replace(self, value: Any, old: Any, new: Any, count: int | None = None) -> str:
        """Each `old`, or the first `count` of them, as `new`."""
        text, old, new = self.text(value), printed(_known(old)), printed(_known(new))
        times = text.count(old) if count is None or count < 0 else min(text.count(old), count)
        self._budget.fits(len(text) + times * max(len(new) - len(old), 0))
        return text.replace(old, new, -1 if count is None else count)

    def indent(self, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
        """Every line but the first moved right by `width` spaces, or by the text `width`."""
        text = self.text(value)
        size = len(width) if isinstance(width, str) else width
        lines = text.split("\n")
        self._budget.fits(len(text) + max(size, 0) * len(lines))
        margin = width if isinstance(width, str) else " " * width
        moved = [margin + line if line or blank else line for line in lines]
        return "\n".join(moved if first else [lines[0], *moved[1:]])

    def truncate(
        self, value: Any, length: int = 255, killwords: bool = False, end: str = "...", leeway: int | None = None
    ) -> str:
        """At most `length` characters with `end` included, cut at a word unless `killwords`."""
        text, end = self.text(value), printed(end)
        if length < len(end):
            raise TemplateRuntimeError(f"truncate: a length of at least {len(end)} was expected, got {length}")
        if len(text) <= length + (5 if leeway is None else leeway):
            return text
        cut = text[: length - len(end)]
        return (cut if killwords else cut.rsplit(" ", 1)[0]) + end

    def round_(self, value: Any, precision: int = 0, method: str = "common") -> float:
        """The number rounded: `common`, `ceil` or `floor`, to `precision` digits."""
        if method not in ("common", "ceil", "floor"):
            raise TemplateRuntimeError(f"round: common, ceil or floor was expected, got {method!r}")
        if not isinstance(precision, int) or abs(precision) > MOST_DIGITS:
            raise Overspent(f"round keeps at most {MOST_DIGITS} digits")
        number: float = _number(value)
        if method == "common":
            return round(number, precision)
        scale = 10.0**precision
        return float((math.ceil if method == "ceil" else math.floor)(number * scale) / scale)

    def int_(self, value: Any, default: Any = MISSING, base: int = 10) -> Any:
        """The whole number that a text or number holds; `default` when it holds none."""
        try:
            if not isinstance(_known(value), str):
                return small(int(_number(value)))
            text = self.text(value).strip()
            return small(int(text[:MOST_BITS], base) if _whole(text) or base != 10 else int(float(text)))
        except (ValueError, OverflowError):
            return self._instead(default, value, "a whole number")

    def float_(self, value: Any, default: Any = MISSING) -> Any:
        """The number that a text or number holds; `default` when it holds none."""
        try:
            return float(self.text(value) if isinstance(_known(value), str) else _number(value))
        except (ValueError, OverflowError):
            return self._instead(default, value, "a number")

    def _words(self, value: Any) -> str:
        text = self.text(value)
        self._budget.spend(len(text) >> 3)
        return text

    def _instead(self, default: Any, value: Any, expected: str) -> Any:
        if default is MISSING:
            text = printed(value)[:40]
            raise TemplateRuntimeError(f"{text!r} is not {expected}; give a default, such as int(0) or float(0)")
        return default

    def _at(self, value: Any, index: int) -> Any:
        items = value if isinstance(_known(value), (str, list, tuple, range)) else self.items(value)
        if not len(items):
            raise TemplateRuntimeError("an empty list has no first or last item")
        return items[index]

    def _sort_key(self, case_sensitive: bool, path: str | int | None) -> Callable[[Any], Any]:
        names: Sequence[str | int | None] = path.split(",") if isinstance(path, str) else [path]

        def key(item: Any) -> Any:
            parts = [_part(item, name.strip() if isinstance(name, str) else name) for name in names]
            folded = [part.lower() if isinstance(part, str) and not case_sensitive else part for part in parts]
            return folded[0] if len(folded) == 1 else tuple(folded)

        return key


_part = attribute
"""`attribute`, where a filter's own argument has that name."""


def _whole(text: str) -> bool:
    return text.lstrip("+-").replace("_", "").isdecimal()


def _number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    raise TemplateRuntimeError(f"a number was expected, got {kind_of(value)}")


METHODS: dict[type, tuple[str, ...]] = {
    str: ("capitalize", "endswith", "lower", "lstrip", "rstrip", "split", "startswith", "strip", "title", "upper"),
    dict: ("get", "items", "keys", "values"),
}


class Method:
    """A method that a template may call: its cost is counted by the text's or mapping's size first."""

    __slots__ = ("_budget", "_call", "_owner")

    def __init__(self, call: Callable[..., Any], owner: Any, budget: Budget) -> None:
        self._call = call
        self._owner = owner
        self._budget = budget

    def __call__(self, *args: Any) -> Any:
        """Count, then call."""
        self._budget.spend(1 + (len(self._owner) >> (2 if isinstance(self._owner, str) else 0)))
        self._budget.weigh(args)
        return self._call(*args)


def method(owner: Any, name: str, budget: Budget) -> Any:
    """The method of a text or mapping, or MISSING when there is none that a template may call."""
    if type(owner) is str and name == "replace":
        return Method(partial(Filters(budget).replace, owner), owner, budget)
    if name in METHODS.get(type(owner), ()):
        return Method(getattr(owner, name), owner, budget)
    return MISSING


def items_of(value: Any) -> Iterator[Any]:
    """What a loop goes over. Raises TemplateRuntimeError for what is no list."""
    _known(value)
    if isinstance(value, (int, float)) or value is None:
        raise TemplateRuntimeError(f"a list was expected to loop over, got {kind_of(value)}")
    items: Iterator[Any] = iter(value)
    return items
