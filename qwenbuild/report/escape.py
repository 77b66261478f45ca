"""Makes foreign text safe to print: control and direction-changing characters become visible escapes.

Knows nothing of terminals, colours or layout.
"""

from __future__ import annotations

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_BREAKS = [0x2028, 0x2029]
_DIRECTION = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_HALVES = range(0xD800, 0xE000)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_TABLE = {code: _escape(code) for code in [*_CONTROLS, *_BREAKS, *_DIRECTION, 0xFEFF, *_HALVES]}
_TABLE |= {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}


def visible(text: str) -> str:
    r"""`text` on one line, with C0, C1, DEL, bidi controls, line separators and lone surrogates as `\x1b`, `\u202e`.

    Prompts, file names and servers' messages come from others and go to a terminal, where such characters act.
    """
    return text if text.isprintable() else text.translate(_TABLE)
