"""The page as text: one HTML file with its styles, its scripts and its data inside, and a policy that allows nothing else.

Knows no card's content: all of it travels as data and becomes text nodes, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

STYLES = ("page.css", "views.css", "viewer.css")
SCRIPTS = (
    *("base.js", "words.js", "store.js", "rows.js", "look.js", "views.js", "pairs.js"),
    *("cards.js", "board.js", "sheets.js", "changes.js"),
    *("stages.js", "compare.js", "facts.js", "viewer.js", "shell.js"),
)
"""In the order in which they run: each knows those before it."""
FOLLOWING = ("talk.js", "follow.js")
CHOOSING = ("choose.js", "notes.js", "live.js")
START = ("start.js",)


def page(
    cards: Sequence[Mapping[str, Any]], *, title: str, facts: Mapping[str, Any], live: bool = False, choosing: bool = True
) -> str:
    """The whole page. `facts` are JSON values that its scripts read beside the cards; `live` adds the scripts that follow what
    a server tells, `choosing` those of the review.
    """
    from markupsafe import Markup

    styles = [_text(name) for name in STYLES]
    served = (*FOLLOWING, *(CHOOSING if choosing else ())) if live else ()
    scripts = [_text(name) for name in (*SCRIPTS, *served, *START)]
    data = {"boards": {}, "atlases": [], **facts, "title": title, "cards": list(cards)}
    html: str = _template().render(
        title=title,
        policy=policy(styles, scripts, live=live),
        styles=[Markup(style) for style in styles],
        scripts=[Markup(script) for script in scripts],
        data=Markup(safe_json(data)),
    )
    return html


def policy(styles: Sequence[str], scripts: Sequence[str], *, live: bool = False) -> str:
    """The content security policy: these styles and scripts by their digests, pictures from beside the page."""
    directives = {
        "default-src": "'none'",
        "img-src": "'self'" if live else "'self' file:",
        "style-src": " ".join(map(_hash, styles)),
        "script-src": " ".join(map(_hash, scripts)),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if live:
        directives["connect-src"] = "'self'"
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def safe_json(value: Any) -> str:
    """JSON that ends no element it stands in: ASCII only, and no `<`, `>` or `&`."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return (files("qwenbuild.gallery") / "web" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_text("page.html.jinja"))
