"""What was perhaps meant: the known names that are like a word, and the one way in which that is said.

Knows no name of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

ALIKE = 0.6
"""How like two words must be, between 0 and 1, before one is offered for the other (difflib's ratio)."""


def near(word: str, candidates: Iterable[str], most: int = 1, alike: float = ALIKE) -> list[str]:
    """The known names nearest to a word, at most so many; the same but for capitals comes first."""
    names = list(candidates)
    same = [name for name in names if name.lower() == word.lower()]
    return (same or difflib.get_close_matches(word, names, most, alike))[:most]


def did_you_mean(names: Sequence[str], quote: str = "`", between: str = ", ") -> str:
    """`did you mean a?`, or nothing where there is no name to offer."""
    return f"did you mean {between.join(f'{quote}{name}{quote}' for name in names)}?" if names else ""
