"""Templates of one manifest: each distinct text is compiled once, and rendered within the budget.

Knows no asset and no entry; the only files it opens are those of the manifest's `templates` folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.expand.budget import MOST_TEXT, Budget, BudgetExceeded
from qwenbuild.expand.faults import WHOLE_FILE, Fault, fault_of, near, of_whole_file
from qwenbuild.expand.plain_templates import Render, plain_template
from qwenbuild.manifest.paths import inside, not_below
from qwenbuild.manifest.text import Text, read
from qwenbuild.model import Manifest

if TYPE_CHECKING:
    from qwenbuild.expand.sandbox import Sandbox

MOST_TEMPLATE_BYTES = 256_000
"""Largest template file, in bytes."""

MOST_CACHED = 50_000
"""Distinct templates kept compiled."""

MOST_COMPARED = 2_000
"""Files of the folder in which a near miss is looked for."""


def has_markup(text: str) -> bool:
    """Whether Jinja would act on anything in the text."""
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def tidy(text: str) -> str:
    """Rendered text as it counts: CRLF as LF, both ends stripped, nothing else changed."""
    return (text.replace("\r\n", "\n") if "\r" in text else text).strip()


class Templates:
    """The compiled templates, and the files they came from."""

    def __init__(self, manifest: Manifest, budget: Budget) -> None:
        self._manifest = manifest
        self._budget = budget
        self._renders: dict[str, Render | Fault] = {}
        self._files: dict[str, Text | InputError | Fault] = {}
        self._sandbox: Sandbox | None = None

    def render(self, text: str) -> Render:
        """The function that renders `text` for a context and tidies the result. Raises Fault when it does not compile.

        The function raises Fault, and Stopped when all templates together cost too much.
        """
        render = self._renders.get(text)
        if render is None:
            render = self._made(text)
            if len(self._renders) < MOST_CACHED:
                self._renders[text] = render
        if isinstance(render, Fault):
            raise render.again()
        return render

    def file(self, name: str) -> str:
        """The text of a template file. Raises InputError with the problem at the file, or Fault when it is not to be had."""
        source = self._found(name)
        if isinstance(source, InputError):
            raise source
        if isinstance(source, Fault):
            raise self.missing(name) if source.code == "no-such-template" else source.again()
        return source.characters

    def read_files(self) -> list[str]:
        """The template files that were read, relative to the manifest's folder."""
        return [self._relative(name) for name, source in self._files.items() if isinstance(source, Text)]

    def problem(self, fault: Fault, path: str) -> Problem | None:
        """The problem of a fault inside of a template file; None when it is in the manifest's own text."""
        text = self._files.get(fault.file) if fault.file is not None else None
        if not isinstance(text, Text):
            return None
        mark = Mark(text.shown, fault.line or 1, fault.column or 1)
        return Problem(fault.code, fault.message, mark, path, text.snippet(mark), fault.hint)

    def missing(self, name: str) -> Fault:
        """The fault of a template file that does not exist, with the near miss in its folder."""
        folder = self._manifest.folder / self._manifest.templates
        seen = itertools.islice(folder.rglob("*"), MOST_COMPARED)
        names = sorted(path.relative_to(folder).as_posix() for path in seen if path.is_file())
        where = f"there is no template `{name}` in the folder `{self._manifest.templates}`"
        return Fault("no-such-template", where, hint=near(name, names))

    def _made(self, text: str) -> Render | Fault:
        plain = plain_template(text)
        try:
            return self._bounded(plain) if plain else self._compiled(text)
        except Fault as fault:
            return fault

    def _bounded(self, plain: Render) -> Render:
        """`_tidied` and a bound in one: it is called four times for an entry."""
        budget = self._budget

        def rendered(context: Mapping[str, Any]) -> str:
            text = plain(context)
            length = len(text)
            if length > MOST_TEXT:
                raise Fault("template-too-costly", f"the text is longer than {MOST_TEXT:,} characters")
            budget.printed(length)
            return (text.replace("\r\n", "\n") if "\r" in text else text).strip()

        return rendered

    def _tidied(self, run: Render) -> Render:
        budget = self._budget

        def rendered(context: Mapping[str, Any]) -> str:
            text = run(context)
            budget.printed(len(text))
            return (text.replace("\r\n", "\n") if "\r" in text else text).strip()

        return rendered

    def _compiled(self, text: str) -> Render:
        sandbox = self._environment()
        sources = {name: source.characters for name, source in self._files.items() if isinstance(source, Text)}
        try:
            template = sandbox.from_string(text)
        except BudgetExceeded:
            raise
        except Exception as error:  # whatever a hostile text makes the parser or Python's compiler raise is its fault
            raise fault_of(error, text, sources, {}) from None
        return self._tidied(self._jinja(template, text, sandbox.weights[""]))

    def _jinja(self, template: Any, text: str, weight: int) -> Render:
        budget, names = self._budget, self._environment().globals

        def run(context: Mapping[str, Any]) -> str:
            budget.begin()
            try:
                whole = {**names, **context}
                return _joined(template.root_render_func(template.new_context(whole, shared=True)))
            except (BudgetExceeded, InputError):
                raise
            except Exception as error:  # a template may make Python raise anything; all of it is the template's fault
                raise self._fault(error, text, context) from None
            finally:
                budget.end(weight)

        return run

    def _fault(self, error: Exception, text: str, context: Mapping[str, Any]) -> Fault:
        sources = {name: source.characters for name, source in self._files.items() if isinstance(source, Text)}
        fault = fault_of(error, text, sources, context)
        if fault.code == "no-such-template":
            absent = self.missing(str(error))
            fault.message, fault.hint = absent.message, absent.hint
        return fault

    def _environment(self) -> Sandbox:
        if self._sandbox is None:
            from qwenbuild.expand.sandbox import Sandbox

            self._sandbox = Sandbox(self._load, self._budget)
        return self._sandbox

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        source = self._found(name)
        if isinstance(source, Fault) and source.code == "no-such-template":
            return None
        return self.file(name), name, lambda: True

    def _found(self, name: str) -> Text | InputError | Fault:
        source = self._files.get(name)
        if source is None:
            source = self._files[name] = self._read(name)
        return source

    def _read(self, name: str) -> Text | InputError | Fault:
        relative = self._relative(name)
        if not_below(name):
            return Fault("outside-folder", f"the template `{name}` is not below the folder `{self._manifest.templates}`")
        try:
            path = inside(self._manifest.folder, relative)
        except ValueError as error:
            return Fault("outside-folder", str(error))
        if not path.exists():
            return Fault("no-such-template", name)
        try:
            return read(path, beside(self._manifest, relative), MOST_TEMPLATE_BYTES)
        except InputError as error:
            if error.code in WHOLE_FILE:
                return of_whole_file(error, relative)
            return error if error.code != "too-large" else _too_large(beside(self._manifest, relative))

    def _relative(self, name: str) -> str:
        folder = self._manifest.templates.strip("/")
        return name if folder in ("", ".") else f"{folder}/{name}"


def beside(manifest: Manifest, relative: str) -> str:
    """How a file of the manifest's folder is shown: with the folder that the manifest was named with."""
    folder, slash, _ = manifest.file.replace("\\", "/").rpartition("/")
    return f"{folder}{slash}{relative}"


def _too_large(shown: str) -> InputError:
    message = f"a template file has at most {MOST_TEMPLATE_BYTES // 1000} kB"
    return InputError(f"{shown}: {message}", code="too-large", problems=(Problem("too-large", message, Mark(shown, 1, 1)),))


def _joined(pieces: Any) -> str:
    parts: list[str] = []
    length = 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length > MOST_TEXT:
            raise Fault("template-too-costly", f"the text is longer than {MOST_TEXT:,} characters", line=1, column=1)
    return "".join(parts)
