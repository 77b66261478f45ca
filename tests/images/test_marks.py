from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from qwenbuild.images import FoundMark, Marks, check, derive, find_marks, marks, normalise, write_marks
from qwenbuild.images.flatpng import chunk
from qwenbuild.images.marks import TRAINED, UNPACKED_BYTES_MAX, packet
from tests.images.pictures import opened, png, saved

LABEL = '{"Label":"1","ContentProducer":"001191 & co","ProduceID":"x<1>"}'
FULL = Marks(model="qwen-image-plus", prompt_digest="ab" * 32, key="cd" * 32, software="qwenbuild", label=LABEL)
EVERY = {"image/png": "PNG", "image/webp": "WEBP", "image/jpeg": "JPEG", "image/avif": "AVIF"}
AIGC = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>'
    f"<rdf:Description TC260:AIGC='{LABEL.replace('&', '&amp;')}'/></rdf:RDF></x:xmpmeta>"
)


def picture(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    return saved(Image.linear_gradient("L").resize((33, 21)).convert(mode), kind, **options)


def with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    return data[:33] + chunk(name, body) + data[33:]


@pytest.fixture
def exiftool() -> str:
    """Debian's exiftool, which knows nothing of us. Where CI runs it must be there; elsewhere the test is skipped."""
    found = shutil.which("exiftool")
    assert found or not os.environ.get("CI"), "exiftool is missing: apt-get install libimage-exiftool-perl"
    return found or pytest.skip("exiftool is not installed")


@pytest.mark.parametrize("media_type", EVERY)
def test_an_independent_reader_finds_the_marks_in_every_type(media_type: str, exiftool: str, tmp_path: Path) -> None:
    data = derive(picture(), [normalise("resize", {"width": 20})], media_type, marks=FULL)
    file = tmp_path / f"picture.{media_type.removeprefix('image/')}"
    file.write_bytes(data)
    answer = subprocess.run([exiftool, "-j", "-n", "-a", "-u", str(file)], capture_output=True, check=True, text=True)
    (tags,) = json.loads(answer.stdout)
    assert tags["DigitalSourceType"] == TRAINED
    assert tags["CreatorTool"] == "qwenbuild"
    assert tags["Model"] == "qwen-image-plus"
    assert tags["PromptDigest"] == "ab" * 32
    assert tags["Key"] == "cd" * 32
    assert "Warning" not in tags
    assert "Error" not in tags


@pytest.mark.parametrize("media_type", EVERY)
def test_what_was_written_is_found_again(media_type: str) -> None:
    found = find_marks(derive(picture(), [normalise("flip", "vertical")], media_type, marks=FULL))
    assert {(mark.kind, mark.text) for mark in found} == {("aigc", LABEL), ("source-type", TRAINED)}
    assert all(mark.survives for mark in found)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("WEBP", {}),
        ("WEBP", {"mode": "RGBA"}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": True, "mode": "RGBA"}),
        ("WEBP", {"icc_profile": b"p" * 131, "mode": "RGBA"}),
        ("PNG", {"mode": "P"}),
    ],
)
def test_marking_a_finished_file_touches_no_pixel(kind: str, options: dict[str, Any]) -> None:
    before = picture(kind, **options)
    after = write_marks(before, Marks(model="m"))
    check(after, (33, 21), EVERY)
    assert opened(after).mode == opened(before).mode
    assert opened(after).tobytes() == opened(before).tobytes()
    assert opened(after).info.get("icc_profile") == opened(before).info.get("icc_profile")
    assert write_marks(after, Marks(model="m")) == after


@pytest.mark.parametrize(("mode", "alpha"), [("RGB", False), ("RGBA", True)])
def test_a_marked_webp_says_in_its_header_whether_it_has_alpha_and_that_it_has_marks(mode: str, alpha: bool) -> None:
    clear = saved(Image.new(mode, (9, 9), (1, 2, 3, 40)[: len(mode)]), "WEBP", lossless=True)
    marked = write_marks(clear, Marks())
    assert marked[12:16] == b"VP8X"
    assert bool(marked[20] & 0x10) is alpha
    assert marked[20] & 0x04


def test_marks_without_steps_are_put_into_the_picture_as_it_is() -> None:
    data = picture()
    marked = derive(data, (), "image/png", marks=Marks())
    assert opened(marked).tobytes() == opened(data).tobytes()
    assert len(marked) - len(data) < 600
    assert [mark.kind for mark in find_marks(marked)] == ["source-type"]


def test_equal_marks_are_equal_bytes_and_empty_ones_are_left_out() -> None:
    assert packet(FULL) == packet(FULL)
    assert b"qwenbuild" not in packet(Marks())
    assert b"DigitalSourceType" not in packet(Marks(source_type=False, model="m"))
    assert b'model="a&amp;b &lt;c&gt;"' in packet(Marks(model="a&b <c>"))


def test_the_marks_of_a_provider_are_found_in_a_png() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "steps: 30")
    info.add_text("AIGC", LABEL)
    info.add_itxt("Comment", "绘图", zip=True)
    info.add_itxt("XML:com.adobe.xmp", AIGC)
    data = with_chunk(picture(pnginfo=info), b"caBX", b"\0\0\0\x10jumb....")
    assert find_marks(data) == (
        FoundMark("c2pa", "caBX chunk", "12 bytes", survives=False),
        FoundMark("text", "tEXt parameters", "steps: 30", survives=False),
        FoundMark("aigc", "tEXt AIGC", LABEL, survives=True),
        FoundMark("text", "iTXt Comment", "绘图", survives=False),
        FoundMark("aigc", "iTXt chunk", LABEL, survives=True),
    )


def test_the_marks_of_a_provider_are_found_in_jpeg_and_webp() -> None:
    jpeg = picture("JPEG", xmp=AIGC.encode())
    box = b"JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x20jumb"
    signed = jpeg[:2] + b"\xff\xeb" + (len(box) + 2).to_bytes(2) + box + jpeg[2:]
    assert [mark.kind for mark in find_marks(signed)] == ["c2pa", "aigc"]
    webp = picture("WEBP", xmp=AIGC.encode())
    assert [(mark.kind, mark.text) for mark in find_marks(webp)] == [("aigc", LABEL)]
    body = webp[12:] + b"C2PA" + (4).to_bytes(4, "little") + b"jumb"
    whole = b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body
    assert [mark.kind for mark in find_marks(whole)] == ["aigc", "c2pa"]


def test_other_xmp_is_told_and_does_not_survive() -> None:
    data = picture("WEBP", xmp=b'<x:xmpmeta><rdf:RDF a="b"/></x:xmpmeta>')
    assert [(mark.kind, mark.survives) for mark in find_marks(data)] == [("xmp", False)]


@pytest.mark.parametrize("media_type", EVERY)
def test_a_label_and_a_source_type_are_carried_over_even_when_nothing_is_added(media_type: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("AIGC", LABEL)
    labelled = write_marks(picture(pnginfo=info), Marks())
    derived = derive(labelled, [normalise("flip", "horizontal")], media_type)
    assert {(mark.kind, mark.text) for mark in find_marks(derived)} == {("aigc", LABEL), ("source-type", TRAINED)}


def test_a_signed_file_is_never_marked() -> None:
    data = with_chunk(picture(), b"caBX", b"jumb")
    for mark in (lambda: write_marks(data, Marks()), lambda: derive(data, (), "image/png", marks=Marks())):
        with pytest.raises(ValueError, match="the file is signed"):
            mark()
    assert find_marks(derive(data, [normalise("flip", "vertical")], "image/png", marks=Marks()))[0].kind == "source-type"


def test_a_finished_avif_cannot_be_marked() -> None:
    with pytest.raises(ValueError, match="an AVIF gets them when it is encoded"):
        write_marks(picture("AVIF"), Marks())


def test_marks_too_long_for_a_jpeg_are_refused() -> None:
    with pytest.raises(ValueError, match="more than a JPEG can hold"):
        write_marks(picture("JPEG"), Marks(label="x" * 70_000))


def test_a_plain_picture_has_no_marks() -> None:
    assert find_marks(png("rg")) == ()
    for kind in ("JPEG", "WEBP", "AVIF"):
        assert find_marks(picture(kind)) == ()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_damaged_files_are_one_sentence_and_never_a_crash(kind: str) -> None:
    whole = picture(kind)
    sentences = {complaint(whole[:cut]) for cut in range(0, len(whole), 7)}
    assert sentences <= {"", "the file is damaged: its marks cannot be read"}


def complaint(data: bytes) -> str:
    try:
        find_marks(data)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("name", "head"), [(b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"zTXt", b"AIGC\0\0")])
def test_a_text_bomb_is_told_as_one_and_a_long_text_that_fits_is_not(name: bytes, head: bytes) -> None:
    for size, told in ((UNPACKED_BYTES_MAX + 1, True), (UNPACKED_BYTES_MAX, False), (40 << 20, True)):
        (mark,) = find_marks(with_chunk(picture(), name, head + zlib.compress(b"A" * size, 9)))
        assert mark.text.startswith("unpacks to more than 64 kB") is told
        assert len(mark.text) < UNPACKED_BYTES_MAX + 200


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("&<>\"'\n\r\t"))))
def test_attributes_are_quoted_as_pythons_library_quotes_them(text: str) -> None:
    assert marks._quoted(text) == quoteattr(text)
