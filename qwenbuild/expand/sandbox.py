"""The environment that templates run in: nothing can be reached but plain values, and all work is counted.

Knows no entry and no manifest. Everything that Python offers on a value is refused unless it is named here or in the filters;
the counters need no clock, no signal and no process of their own, so every machine gives the same answer.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, Undefined, nodes, pass_context
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError, TemplateRuntimeError, TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.loaders import FunctionLoader
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

from qwenbuild.expand import guard
from qwenbuild.expand.budget import Budget
from qwenbuild.expand.faults import near_key
from qwenbuild.expand.filters import Method, filters, globals_, items_of, method, small
from qwenbuild.expand.values import MISSING, kind_of, part, printed

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
LOOP = frozenset(
    [
        *("changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length"),
        *("nextitem", "previtem", "revindex", "revindex0"),
    ]
)
INCLUDE_UNITS = 16
"""What an include or import costs beside the size of its template."""

INDEXED: tuple[type[Any], ...] = (str, list, tuple, dict, range)
FRAME = ("_loop_vars", "_block_vars")
"""Keywords that the compiled template adds to a call for Jinja's own functions."""

NUMBER = (int, float)
Source = tuple[str, str, Callable[[], bool]]


class Nothing(StrictUndefined):
    """What is not defined: using it in any way is an error that says what there is instead."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if self._undefined_hint or owner is missing:
            return self._undefined_hint or f"{name!r} is not defined"
        near = near_key(str(name), owner) if isinstance(owner, dict) else ""
        return f"{kind_of(owner)} has no {name!r}" + (f"; {near}" if near else "")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja, strict and counted, with nothing to reach but plain values."""

    intercepted_binops = frozenset([*OPERATORS, "**"])

    def __init__(self, load: Callable[[str], Source | None], budget: Budget) -> None:
        super().__init__(
            undefined=Nothing,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            optimized=False,
            loader=FunctionLoader(load),
            cache_size=-1,
            auto_reload=False,
            finalize=self._finalizer(budget),
        )
        self.budget = budget
        self.weights: dict[str, int] = {}
        self.globals = globals_(budget)
        self.allowed = filters(budget)
        self.filters = {**self.allowed, **self._counters(budget)}

    @staticmethod
    def _finalizer(budget: Budget) -> Callable[[Context, Any], str]:
        @pass_context
        def finalize(context: Context, value: Any) -> str:
            if isinstance(value, Undefined):
                return str(value)
            text = printed(value)
            budget.fits(len(text))
            return text

        return finalize

    @staticmethod
    def _counters(budget: Budget) -> dict[str, Callable[..., Any]]:
        def key(value: Any) -> Any:
            if not isinstance(value, (str, *NUMBER)):
                raise TemplateRuntimeError(f"a mapping's key is text or a number, not {kind_of(value)}")
            return value

        def concat(values: list[Any]) -> str:
            texts = [str(value) if isinstance(value, Undefined) else printed(value) for value in values]
            budget.fits(sum(map(len, texts)))
            return "".join(texts)

        return {
            guard.WEIGH: budget.weigh,
            guard.SPEND: budget.spend,
            guard.EACH: lambda items, weight: budget.each(items_of(items), weight),
            guard.KEY: key,
            guard.CONCAT: concat,
        }

    def _tokenize(self, source: str, name: str | None, filename: str | None = None, state: str | None = None) -> TokenStream:
        tokens = self.lexer.wrap(self.lexer.tokeniter(source, name, filename, state), name, filename)
        return TokenStream(_limited(tokens, name), name, filename)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        tree, weight = guard.guarded(tree, self.allowed.keys(), self.tests.keys(), name)
        self.weights[name or ""] = weight
        self.budget.compiled(weight)
        return tree

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Let the error go as it came: its place is found without Jinja's rewriting of tracebacks."""
        error = sys.exc_info()[1]
        assert error is not None
        raise error

    def _load_template(self, name: str, globals: Any) -> Template:
        template = super()._load_template(name, globals)
        if not hasattr(template, "counted"):
            template.counted = True  # type: ignore[attr-defined]
            template.root_render_func = self._counted(template.root_render_func, self.weights[name])
        return template

    def _counted(self, run: Callable[..., Iterator[str]], weight: int) -> Callable[..., Iterator[str]]:
        def root(context: Context, missing: Any = missing) -> Iterator[str]:
            self.budget.enter()
            try:
                self.budget.spend(INCLUDE_UNITS + weight)
                yield from run(context)
            finally:
                self.budget.leave()

        return root

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The part of a value that `.name` means: a key, an allowed method, a macro of an import; nothing else."""
        value = part(obj, attribute)
        if value is MISSING:
            value = self._member(obj, attribute)
        return self.undefined(obj=obj, name=attribute) if value is MISSING else value

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The part of a value that `[…]` means, by a key or a position."""
        if isinstance(obj, Undefined):
            obj._fail_with_undefined_error()
        if isinstance(argument, (str, *NUMBER)) and isinstance(obj, INDEXED):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.getattr(obj, argument) if isinstance(argument, str) else self.undefined(obj=obj, name=argument)

    def _member(self, obj: Any, name: str) -> Any:
        if isinstance(obj, Undefined):
            obj._fail_with_undefined_error()
        if isinstance(obj, Namespace):
            return self._of_namespace(obj, name)
        if isinstance(obj, LoopContext):
            return self._of_loop(obj, name)
        if isinstance(obj, TemplateModule) and not name.startswith("_"):
            return obj.__dict__.get(name, MISSING)
        if isinstance(obj, TemplateReference) and not name.startswith("_"):
            return obj[name]
        return method(obj, name, self.budget)

    def _of_namespace(self, obj: Namespace, name: str) -> Any:
        try:
            return MISSING if name.startswith("_") else getattr(obj, name)
        except (AttributeError, LookupError, TypeError):
            return MISSING

    def _of_loop(self, obj: LoopContext, name: str) -> Any:
        if name not in LOOP:
            return MISSING
        value = getattr(obj, name)
        return Method(value, (), self.budget) if name in ("changed", "cycle") else value

    def call(self, context: Context, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what may be called, counted."""
        self.budget.spend(1 + len(args) + len(kwargs))
        if isinstance(callee, Method) or any(callee is function for function in self.globals.values()):
            return callee(*args, **{name: value for name, value in kwargs.items() if name not in FRAME})
        if isinstance(callee, Undefined):
            callee._fail_with_undefined_error()
        if not isinstance(callee, (Macro, LoopContext, BlockReference)):
            raise SecurityError(f"{kind_of(callee)} cannot be called")
        if isinstance(callee, LoopContext):
            args = (self.budget.each(items_of(args[0]), 1),) if args else args
        self.budget.enter()
        try:
            return context.call(callee, *args, **kwargs)
        finally:
            self.budget.leave()

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers with numbers; text and lists only with `+`, each counted before it is made."""
        for side in (left, right):
            if isinstance(side, Undefined):
                side._fail_with_undefined_error()
        if isinstance(left, NUMBER) and isinstance(right, NUMBER):
            small(left), small(right)
            return small(OPERATORS[operator](left, right))
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            self.budget.fits(len(left) + len(right))
            return left + right
        if operator == "+" and isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
            self.budget.spend(len(left) + len(right))
            return [*left, *right]
        advice = "; join texts with ~" if operator == "+" else ""
        raise TemplateRuntimeError(f"{kind_of(left)} {operator} {kind_of(right)} is not possible{advice}")


def _limited(tokens: Iterator[Token], name: str | None) -> Iterator[Token]:
    for number, token in enumerate(tokens):
        if number > guard.MOST_TOKENS:
            raise TemplateSyntaxError(f"the template has more than {guard.MOST_TOKENS:,} words and signs", token.lineno, name)
        yield token
