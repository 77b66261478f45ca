"""The HTTP library, imported here and nowhere else: to exchange it for another of the same interface is this one line.

Knows no request.
"""

from __future__ import annotations

import httpx

__all__ = ["httpx"]
