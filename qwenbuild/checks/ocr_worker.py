"""A process of its own that reads the words of pictures with rapidocr: pictures come on stdin, lines of text go to stdout.

Knows no expectation and no cache. It ends with its stdin, so that a build that was killed leaves nothing behind. The models are
part of rapidocr's package: no network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from qwenbuild.images.decoder import decode

THREADS = 2
"""Of one picture; the same number on every machine."""


def main() -> None:
    """Answer each picture with one line of JSON: `lines` of (text, confidence in thousandths, box), or `error`."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # whatever a library prints is no answer
    os.dup2(nowhere, 2)
    engine: Any = None
    while data := _next(asked):
        try:
            engine = engine or _engine()
            answer: Mapping[str, Any] = {"lines": _lines(engine, data)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _next(asked: BinaryIO) -> bytes:
    """The next picture: its length on a line, then its bytes; nothing at the end."""
    head = asked.readline()
    return asked.read(int(head)) if head.strip() else b""


def _engine() -> Any:
    from rapidocr import RapidOCR

    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": THREADS, "EngineConfig.onnxruntime.inter_op_num_threads": 1}
    return RapidOCR(params={"Global.log_level": "critical", **threads})


def _lines(engine: Any, data: bytes) -> list[tuple[str, int, list[int]]]:
    reading = engine(decode(data).convert("RGB"))
    if reading is None or not reading.txts:
        return []
    rows = zip(reading.txts, reading.scores, reading.boxes, strict=True)
    return [(str(text), int(score * 1000), _box(box)) for text, score, box in rows]


def _box(corners: Any) -> list[int]:
    """Left, top, width and height of a four-cornered box, in whole pixels."""
    xs, ys = [int(point[0]) for point in corners], [int(point[1]) for point in corners]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


if __name__ == "__main__":
    main()
