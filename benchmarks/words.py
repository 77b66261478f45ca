"""How well the check `text` tells right words from wrong ones, in pictures drawn in five languages.

Does not know how words are read. Of each language half of the pictures show the wanted words, the other half words with one
letter changed, left out or added, or other words. Needs the extra `text`, tesseract with `rus`, the fonts DejaVu and Noto CJK.

    python -m benchmarks.words [--each 60]     the table of docs/checks.md
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.planted import png
from qwenbuild.checks import check_expect, judge
from qwenbuild.checks.expectation import VerdictStore

DEJAVU = [f"/usr/share/fonts/truetype/dejavu/DejaVu{name}.ttf" for name in ("Sans", "Sans-Bold", "Serif", "SansCondensed-Bold")]
CJK = [f"/usr/share/fonts/opentype/noto/Noto{name}.ttc" for name in ("SansCJK-Regular", "SansCJK-Bold", "SerifCJK-Bold")]
WORDS = {
    "English": ["FRESH BAKERY", "Open daily", "Coffee & Cake", "Grand Opening", "SUMMER SALE", "Since 1987", "Night Market"],
    "German": ["Frische Brötchen", "GRÖSSE", "Täglich geöffnet", "Käsespätzle", "Für Gäste", "Straßenfest", "Schöne Grüße"],
    "Chinese": ["新鲜面包", "欢迎光临", "今日特价", "夏季促销", "咖啡与蛋糕", "夜市美食", "每日营业"],
    "Japanese": [
        "焼きたてパン",
        "いらっしゃいませ",
        "本日のおすすめ",
        "コーヒー",
        "夏のセール",
        "営業中です",
        "できたてケーキ",
    ],
    "Russian": [
        "Свежий хлеб",
        "ОТКРЫТО",
        "Летняя распродажа",
        "Кофе и торты",
        "Добро пожаловать",
        "Ночной рынок",
        "С 1987 года",
    ],
}
LETTERS = {
    "English": "abcdefghklmnoprstuvwxyz",
    "German": "abdefghklmnoprstuäöü",
    "Chinese": "大小中国人山水火土金",
    "Japanese": "あいうえおかきくけこさしすせそ",
    "Russian": "абвгдежзиклмнопрстуфхц",
}


@dataclass(frozen=True)
class Sign:
    """A picture's bytes, the words that are wanted, and whether it shows them."""

    data: bytes
    wanted: str
    right: bool


class Forgetful(VerdictStore):
    """What was read in one picture, for the second of two questions."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def get(self, name: str, parameters: Any) -> Any:
        return self.known.get(name + str(parameters))

    def put(self, name: str, parameters: Any, verdict: Any) -> None:
        self.known[name + str(parameters)] = verdict


def wrong(dice: random.Random, language: str, words: str) -> str:
    """The words with one mistake, or others."""
    at = dice.choice([at for at, letter in enumerate(words) if letter.isalpha()])
    letter = dice.choice([one for one in LETTERS[language] if one.lower() != words[at].lower()])
    letter = letter.upper() if words[at].isupper() else letter
    ways = [words[:at] + letter + words[at + 1 :], words[:at] + words[at + 1 :], words[:at] + letter + words[at:]]
    others = [other for other in WORDS[language] if other != words]
    return dice.choice([*ways, dice.choice(others)])


def drawn(dice: random.Random, language: str, words: str) -> Image.Image:
    """The words on a sign: another font, size, colour and ground each time, a little turned, a little out of focus."""
    font = ImageFont.truetype(dice.choice(CJK if language in ("Chinese", "Japanese") else DEJAVU), dice.randint(34, 60))
    ground = tuple(dice.randint(170, 255) for _ in range(3))
    ink = tuple(dice.randint(0, 90) for _ in range(3))
    ground, ink = (ink, ground) if dice.random() < 0.3 else (ground, ink)
    image = Image.new("RGB", (640, 256), ground)
    draw = ImageDraw.Draw(image)
    for _ in range(dice.randint(0, 4)):
        x, y = dice.randint(0, 640), dice.choice([10, 240])
        draw.ellipse(
            [x, y - 12, x + dice.randint(20, 90), y + 12], tuple((part + dice.randint(0, 40)) % 256 for part in ground)
        )
    left = max(10, int((640 - draw.textlength(words, font)) / 2))
    draw.text((left, dice.randint(70, 120)), words, ink, font)
    image = image.rotate(dice.uniform(-2.5, 2.5), Image.Resampling.BICUBIC, fillcolor=ground)
    return image.filter(ImageFilter.GaussianBlur(dice.uniform(0, 0.9)))


def signs(language: str, count: int) -> Iterator[Sign]:
    """`count` pictures, every other one with the wanted words."""
    dice = random.Random(f"words {language}")
    for number in range(count):
        wanted = dice.choice(WORDS[language])
        right = number % 2 == 0
        yield Sign(png(drawn(dice, language, wanted if right else wrong(dice, language, wanted))), wanted, right)


def passed(sign: Sign) -> list[bool]:
    """Whether the picture passes: as `contains`, as `exact`, and as `fuzzy` with 0.9 of the letters."""
    remembered = Forgetful()
    asked = [{"match": "contains"}, {"match": "exact"}, {"match": "fuzzy"}]
    expects = [check_expect({"text": {"wanted": [sign.wanted], **more}}) for more in asked]
    return [judge(sign.data, expect, remembered)[0].verdict == "pass" for expect in expects]


def row(language: str, count: int) -> str:
    """One line of the table."""
    every = list(signs(language, count))
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(passed, every))
    cells = []
    for way in range(3):
        through = [sign.right for sign, answer in zip(every, answers, strict=True) if answer[way]]
        right = sum(sign.right for sign in every)
        cells.append(f"{sum(through)}/{right}, {sum(through)}/{len(through)}")
    return f"| {language} | {len(every)} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=60, help="pictures of each language")
    each = parser.parse_args().each
    missing = [font for font in (*DEJAVU, *CJK) if not Path(font).exists()]
    if missing:
        raise SystemExit(f"missing fonts: {', '.join(missing)}")
    print("| language | pictures | contains: recall, precision | exact | fuzzy (0.9) |\n|---|---|---|---|---|")
    for language in WORDS:
        print(row(language, each), flush=True)


if __name__ == "__main__":
    main()
