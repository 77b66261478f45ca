"""Have words read by programs of their own: rapidocr in worker processes, tesseract one process a picture.

Knows no expectation. A worker that fails says nothing of a picture. No network is used.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from qwenbuild.checks.scripts import RAPIDOCR
from qwenbuild.checks.text import Line
from qwenbuild.images import PluginFailed

WORKERS = max(1, (os.cpu_count() or 1) // 2)
"""Each uses two threads of its own."""
TESSERACT_S = 120.0
"""Seconds that tesseract may take for one picture."""


class ReaderFailed(PluginFailed):
    """A reader died or answered nonsense; nothing is known of the picture."""


def read_words(data: bytes, reader: str) -> Sequence[Line]:
    """The lines of a picture, from top to bottom as the reader has them. Raises ReaderFailed."""
    name = reader.partition(" ")[0]
    return _pool.read(data) if name == RAPIDOCR else _tesseract(data, name.partition(":")[2])


class _Pool:
    """A few workers, each started when it is needed, and ended with this process."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        for _ in range(WORKERS):
            self._idle.put(None)

    def read(self, data: bytes) -> Sequence[Line]:
        """Have one picture read by the next idle worker."""
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            lines = _asked(worker, data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if worker is not None:
                self._end(worker)
            worker = None
            raise ReaderFailed(f"the reader of words failed: {error}") from error
        finally:
            self._idle.put(worker)
        return lines

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "qwenbuild.checks.ocr_worker"]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with self._lock:
            if not self._running:
                atexit.register(self.close)
            self._running.add(worker)
        return worker

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(worker)
        worker.kill()
        worker.communicate()

    def close(self) -> None:
        """End every worker."""
        for worker in tuple(self._running):
            self._end(worker)


_pool = _Pool()


def _asked(worker: subprocess.Popen[bytes], data: bytes) -> Sequence[Line]:
    asked, answers = _pipe(worker.stdin), _pipe(worker.stdout)
    asked.write(b"%d\n" % len(data) + data)
    asked.flush()
    line = answers.readline()
    if not line:
        raise ValueError("its process ended")
    answer = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return [Line(str(text), int(confidence), _box(box)) for text, confidence, box in answer["lines"]]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("it has no pipe")
    return pipe


def _box(box: Sequence[int]) -> tuple[int, int, int, int]:
    left, top, width, height = (int(number) for number in box)
    return left, top, width, height


def _tesseract(data: bytes, language: str) -> Sequence[Line]:
    command = ["tesseract", "stdin", "stdout", "-l", language, "--psm", "11", "tsv"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TESSERACT_S, check=False, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise ReaderFailed(f"tesseract failed: {error}") from error
    if done.returncode != 0:
        raise ReaderFailed(f"tesseract failed: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    return _table(done.stdout.decode("utf-8", "replace"))


def _table(text: str) -> Sequence[Line]:
    """The lines of tesseract's table, which has a row for each word."""
    lines: dict[tuple[str, ...], list[tuple[str, int, tuple[int, int, int, int]]]] = {}
    for row in text.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():
            box = _box([int(cell) for cell in cells[6:10]])
            lines.setdefault(tuple(cells[1:5]), []).append((cells[11].strip(), int(float(cells[10]) * 10), box))
    return [_line(words) for words in lines.values()]


def _line(words: Sequence[tuple[str, int, tuple[int, int, int, int]]]) -> Line:
    left, top = min(box[0] for _, _, box in words), min(box[1] for _, _, box in words)
    right, bottom = max(box[0] + box[2] for _, _, box in words), max(box[1] + box[3] for _, _, box in words)
    confidence = min(confidence for _, confidence, _ in words)
    return Line(" ".join(text for text, _, _ in words), confidence, (left, top, right - left, bottom - top))
