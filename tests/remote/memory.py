"""A store in memory, exact or not, whose every call can be watched, refused or answered wrongly.

Knows no test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qwenbuild.remote.store import StoredObject

Hook = Callable[[str, str], None]
"""Called with the method and the name before each call; raises, waits or moves a clock."""


@dataclass
class Memory:
    """What `open_remote` would give. `exact` stores create conditionally; `keeps` False acknowledges and keeps nothing."""

    exact: bool = True
    keeps: bool = True
    url: str = "mem://team"
    names: dict[str, bytes] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    before: Hook = lambda method, name: None
    answer: Callable[[str], bytes | None] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def _called(self, method: str, name: str) -> None:
        self.calls.append((method, name))
        self.before(method, name)

    def get(self, name: str) -> bytes | None:
        self._called("get", name)
        return self.names.get(name) if self.answer is None else self.answer(name)

    def size(self, name: str) -> int | None:
        self._called("size", name)
        return len(self.names[name]) if name in self.names else None

    def put(self, name: str, data: bytes) -> None:
        self._called("put", name)
        if self.keeps:
            self.names[name] = data

    def create(self, name: str, data: bytes) -> bool | None:
        if not self.exact:
            return None
        self._called("create", name)
        with self._lock:
            if name in self.names:
                return False
            if self.keeps or "trial" in name:
                self.names[name] = data
            return True

    def delete(self, name: str) -> None:
        self._called("delete", name)
        self.names.pop(name, None)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        yield from (StoredObject(name, len(data), 0.0) for name, data in list(self.names.items()) if name.startswith(prefix))

    def close(self) -> None:
        pass
