"""The rows of the providers in this folder, as the entry points of this distribution name them.

Knows nothing that `catalog.json` does not say.
"""

from __future__ import annotations

from qwenbuild.catalog import FAMILIES

PLACEHOLDER = FAMILIES["placeholder"]
DASHSCOPE = FAMILIES["dashscope"]
APIFRAME = FAMILIES["apiframe"]
QWEN2512 = FAMILIES["qwen2512"]
OPENAI = FAMILIES["openai"]
