"""What a check is: a name, a version, arguments, and a judge that is named and not yet loaded.

Knows no check by name, and no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qwenbuild.images.arguments import Argument, read_all
from qwenbuild.model import CheckVerdict

if TYPE_CHECKING:
    from qwenbuild.images.measures import DecodedPicture

VERSION = "v"
"""Under which a check's version stands among its parameters, so that a verdict of an older version is not believed."""
Parameters = Mapping[str, Any]
Scope = Literal["picture", "set"]


class Check(Protocol):
    """One key of `expect`. A `picture` check looks at one picture; a `set` check compares it with others."""

    @property
    def name(self) -> str:
        """The key."""
        ...

    @property
    def scope(self) -> Scope:
        """What it looks at."""
        ...

    def read(self, value: Any) -> Any:
        """The parameters as JSON values that determine the verdict, the version among them. Raises ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class LocalCheck:
    """A check of the pixels, made on this machine and for nothing.

    `main` is the argument that is meant where no mapping is written; `true` alone means every default.
    """

    name: str
    doc: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    main: str = ""
    version: int = 1
    scope: Scope = "picture"

    def read(self, value: Any) -> Parameters:
        """Every argument, given or default, and the version. Raises ValueError."""
        given = {} if value is True else value if isinstance(value, Mapping) else {self.main: value} if self.main else None
        if given is None:
            raise ValueError(f"takes true, or a mapping of {', '.join(self.arguments)}, got {value!r}")
        return {VERSION: self.version, **read_all(f"expect: {self.name}", self.arguments, given)}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a judge found: `fault` is one sentence, "" when the picture is as expected."""

    fault: str
    measured: str = ""
    threshold: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def verdict(self, check: str, version: str) -> CheckVerdict:
        """The finding as a verdict of the check."""
        evidence = {**self.evidence, "message": self.fault} if self.fault else dict(self.evidence)
        return CheckVerdict(check, "fail" if self.fault else "pass", self.measured, self.threshold, evidence, version)


Judge = Callable[["DecodedPicture", Any], Measurement]
