"""Scripts of writing, the program that reads each, and whether it is there: known before anything is drawn.

Reads no picture. Nothing is looked for before somebody expects words.
"""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from functools import cache
from importlib import metadata
from importlib.util import find_spec

INSTALL = "pip install 'qwenbuild[text]'"
RAPIDOCR = "rapidocr"
TESSERACT = {"cyrillic": "rus", "greek": "ell"}
"""What tesseract calls the language by which it reads a script."""
READ_BY = {"latin": RAPIDOCR, "chinese": RAPIDOCR, "japanese": RAPIDOCR, **dict.fromkeys(TESSERACT, "tesseract")}
"""Script to the program that reads it. Any other script is an error."""
_NAMED = {"LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek", "CJK": "chinese"}
_JAPANESE = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")


def scripts_of(text: str) -> tuple[str, ...]:
    """The scripts of a text's letters, sorted; chinese characters beside kana are japanese."""
    scripts = {_script(letter) for letter in text if letter.isalpha()} - {""}
    return tuple(sorted(scripts - {"chinese"} if "japanese" in scripts else scripts))


@cache
def _script(letter: str) -> str:
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[:1], "").partition(" ")[0]
    if name in _JAPANESE:
        return "japanese"
    return _NAMED.get(name, "" if name in ("MODIFIER", "FEMININE", "MASCULINE") else name.lower())


def reader_of(script: str) -> str:
    """The program that reads a script, with its version, such as `rapidocr 3.10.0` or `tesseract:rus 5.3.0`.

    Raises ValueError with what to install, or that nothing reads it.
    """
    program = READ_BY.get(script)
    if program is None:
        raise ValueError(f"no reader knows {script} letters; words are read in {', '.join(READ_BY)}")
    return _rapidocr() if program == RAPIDOCR else _tesseract(TESSERACT[script], script)


@cache
def _rapidocr() -> str:
    if find_spec("rapidocr") is None or find_spec("onnxruntime") is None:
        raise ValueError(f"needs the extra `text`, which reads words in pictures: {INSTALL}")
    return f"{RAPIDOCR} {metadata.version('rapidocr')}"


@cache
def _tesseract(language: str, script: str) -> str:
    if shutil.which("tesseract") is None:
        raise ValueError(f"needs tesseract, which reads {script} letters: apt install tesseract-ocr-{language}")
    languages, version = (_said("tesseract", option) for option in ("--list-langs", "--version"))
    if language not in languages.split():
        raise ValueError(f"needs tesseract's language `{language}` for {script} letters: apt install tesseract-ocr-{language}")
    return f"tesseract:{language} {version.split()[1] if len(version.split()) > 1 else '?'}"


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"needs tesseract, which cannot be run: {error}") from error
    return done.stdout or done.stderr
