"""The page as text: one HTML file with its style, its scripts and its data inside, and a policy that allows nothing else.

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

SCRIPTS = ("page.js", "viewer.js")
LIVE = "live.js"


def page(cards: Sequence[Mapping[str, Any]], *, title: str, facts: Mapping[str, Any], live: bool = False) -> str:
    """The whole page. `facts` are JSON values that its scripts read beside the cards; `live` adds the review's script."""
    from markupsafe import Markup

    style = _text("style.css")
    scripts = [_text(name) for name in (*SCRIPTS, *((LIVE,) if live else ()))]
    data = {**facts, "title": title, "cards": list(cards)}
    html: str = _template().render(
        title=title,
        policy=policy(style, scripts, live=live),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        data=Markup(safe_json(data)),
    )
    return html


def policy(style: str, scripts: Sequence[str], *, live: bool = False) -> str:
    """The content security policy: this style and these scripts by their digests, pictures from beside the page."""
    directives = {
        "default-src": "'none'",
        "img-src": "'self'" if live else "'self' file:",
        "style-src": _hash(style),
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
    return (files("qwenbuild.gallery") / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_text("page.html.jinja"))
