"""Marks of origin in picture files: find what a provider put in, and write ours as XMP.

Knows no provider and no manifest. Writing never touches a pixel: chunks and segments are put in beside what is there.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from qwenbuild.images.flatpng import chunk
from qwenbuild.images.structure import dimensions, sniff

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for a picture that a trained model made."""

LINE = 200
"""Characters of a mark's text that a line keeps."""

_XMP_PNG = b"XML:com.adobe.xmp\0\0\0\0\0"
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_C2PA_BOX = b"jumb"
_SOURCE = re.compile(
    r"""DigitalSourceType\s*(?:=\s*["']([^"']+)["']|>\s*([^<]+?)\s*<|[^>]*rdf:resource\s*=\s*["']([^"']+)["'])"""
)
_LABEL = re.compile(r"""TC260:AIGC\s*(?:=\s*("[^"]*"|'[^']*')|>\s*([^<]+?)\s*<)""")


UNPACKED_BYTES_MAX = 64 * 1024
"""Bytes of a compressed text that are unpacked at most."""


@dataclass(frozen=True, slots=True)
class FoundMark:
    """One mark in a file. `kind`: c2pa (a signature), aigc (China's label), source-type (IPTC), xmp, text.

    `place` is where it stands and `text` what it says; `survives` tells whether a derived file still carries it.
    """

    kind: str
    place: str
    text: str
    survives: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written into a file; an empty string is left out. `source_type` is IPTC's DigitalSourceType."""

    source_type: bool = True
    model: str = ""
    prompt_digest: str = ""
    key: str = ""
    software: str = ""
    label: str = ""


def find_marks(data: bytes) -> tuple[FoundMark, ...]:
    """What a file says of its origin, in the order it stands there. Raises ValueError when the file is damaged."""
    pieces = {"image/png": _png_pieces, "image/jpeg": _jpeg_pieces, "image/webp": _webp_pieces}.get(
        sniff(data) or "", _loose_pieces
    )
    try:
        return tuple(mark for place, body in pieces(data) for mark in _read(place, body))
    except (struct.error, IndexError):
        raise ValueError("the file is damaged: its marks cannot be read") from None


def mark_lines(data: bytes) -> tuple[str, ...]:
    """The marks of a file, a line each: kind, place, text. A file that is damaged there says nothing."""
    try:
        return tuple(f"{mark.kind}: {mark.place}: {mark.text[:LINE]}" for mark in find_marks(data))
    except ValueError:
        return ()


def signed(data: bytes) -> bool:
    """Whether the file holds a C2PA manifest, which any change would break."""
    return any(mark.kind == "c2pa" for mark in find_marks(data))


def carried(data: bytes, marks: Marks | None) -> Marks | None:
    """What a file derived from `data` is marked with: `marks`, and the source's own label and source type."""
    source_marks = find_marks(data)
    label = next((mark.text for mark in source_marks if mark.kind == "aigc"), "")
    trained = any(mark.kind == "source-type" and mark.text == TRAINED for mark in source_marks)
    if marks is None:
        return Marks(source_type=trained, label=label) if label or trained else None
    return Marks(
        marks.source_type or trained, marks.model, marks.prompt_digest, marks.key, marks.software, marks.label or label
    )


def _quoted(text: str) -> str:
    """A text as an attribute of XML, as `xml.sax.saxutils.quoteattr` gives it: that loads half of Python's network code."""
    for old, new in (("&", "&amp;"), (">", "&gt;"), ("<", "&lt;"), ("\n", "&#10;"), ("\r", "&#13;"), ("\t", "&#9;")):
        text = text.replace(old, new)
    if '"' not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else '"' + text.replace('"', "&quot;") + '"'


def packet(marks: Marks) -> bytes:
    """The marks as an XMP packet. No time and no host: equal marks are equal bytes."""
    fields = {
        "Iptc4xmpExt:DigitalSourceType": TRAINED if marks.source_type else "",
        "xmp:CreatorTool": marks.software,
        "qwenbuild:model": marks.model,
        "qwenbuild:promptDigest": marks.prompt_digest,
        "qwenbuild:key": marks.key,
        "TC260:AIGC": marks.label,
    }
    spaces = {
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "qwenbuild": "urn:qwenbuild:ns:1:",
        "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    }
    used = {name: text for name, text in fields.items() if text}
    needed = sorted({name.split(":")[0] for name in used})
    attributes = [f'xmlns:{name}="{spaces[name]}"' for name in needed]
    attributes += [f"{name}={_quoted(text)}" for name, text in used.items()]
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'<rdf:Description rdf:about="" {" ".join(attributes)}/>\n'
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()


def write_marks(data: bytes, marks: Marks) -> bytes:
    """The file with our XMP, pixels untouched; an XMP packet that stood there is replaced, its label kept.

    Raises ValueError for a signed file, which any change would break, and for a finished AVIF, whose marks are
    written when it is encoded.
    """
    if signed(data):
        raise ValueError("the file is signed (C2PA), and marking it would break the signature")
    together = carried(data, marks) or marks
    writer = {"image/png": _into_png, "image/jpeg": _into_jpeg, "image/webp": _into_webp}.get(sniff(data) or "")
    if writer is None:
        raise ValueError("marks can be written into a PNG, JPEG or WebP; an AVIF gets them when it is encoded")
    return writer(data, packet(together))


def _read(place: str, body: bytes) -> Iterator[FoundMark]:
    """The marks in one piece of a file."""
    if place.startswith(("caBX", "C2PA", "APP11")):
        yield FoundMark("c2pa", place, f"{len(body)} bytes", survives=False)
    elif b"<x:xmpmeta" in body or b"<rdf:RDF" in body:
        yield from _read_xmp(place, body.decode("utf-8", "replace"))
    elif place.startswith(("tEXt", "zTXt", "iTXt")):
        name, text = _text(place[:4], body)
        kind = "aigc" if name == "AIGC" else "text"
        yield FoundMark(kind, f"{place[:4]} {name}", text, survives=kind == "aigc")
    elif place == "EXIF" and b'"AIGC"' in body:
        yield FoundMark("aigc", "EXIF", _json_in(body), survives=True)


def _read_xmp(place: str, text: str) -> Iterator[FoundMark]:
    label, source = _LABEL.search(text), _SOURCE.search(text)
    if label:
        yield FoundMark("aigc", place, unescape(label[1][1:-1] if label[1] else label[2]), survives=True)
    if source:
        term = next(group for group in source.groups() if group)
        yield FoundMark("source-type", place, term, survives=term == TRAINED)
    if not label and not source:
        yield FoundMark("xmp", place, f"{len(text)} characters", survives=False)


def _text(kind: str, body: bytes) -> tuple[str, str]:
    """Keyword and text of a PNG's text chunk. What is compressed is opened up to 64 kB, and what is longer is told first."""
    name, _, rest = body.partition(b"\0")
    if kind == "iTXt":
        packed, (_, _, rest) = rest[:1] == b"\1", (b"", b"", rest[2:].split(b"\0", 2)[-1])
    else:
        packed, rest = kind == "zTXt", rest[1:] if kind == "zTXt" else rest
    warning = ""
    if packed:
        inflater = zlib.decompressobj()
        try:
            rest = inflater.decompress(rest, UNPACKED_BYTES_MAX)
        except zlib.error:
            rest = b""
        if inflater.unconsumed_tail:
            warning = f"unpacks to more than {UNPACKED_BYTES_MAX // 1024} kB, which may be a bomb; the rest was not unpacked: "
    return name.decode("latin-1"), warning + rest.decode("utf-8" if kind == "iTXt" else "latin-1", "replace")


def _json_in(body: bytes) -> str:
    start, end = body.find(b"{"), body.rfind(b"}")
    return body[start : end + 1].decode("utf-8", "replace")


def _png_pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    for name, start, end in _png_places(data):
        if name in (b"caBX", b"tEXt", b"zTXt", b"iTXt"):
            yield f"{name.decode()} chunk", data[start:end]
        elif name == b"eXIf":
            yield "EXIF", data[start:end]


def _png_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, and where its body begins and ends: nobody needs a copy of the pixels."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        yield data[position + 4 : position + 8], position + 8, position + 8 + length
        position += 12 + length


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((name, data[start:end]) for name, start, end in _png_places(data))


def _jpeg_pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    for marker, body in _jpeg_segments(data):
        if marker == 0xEB and _C2PA_BOX in body[:64]:
            yield "APP11 JUMBF", body
        elif marker == 0xE1:
            yield ("EXIF" if body.startswith(b"Exif") else "APP1 XMP"), body


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments before the picture's data, marker and body."""
    position = 2
    while data[position] == 0xFF and data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4])
        yield data[position + 1], data[position + 4 : position + 2 + length]
        position += 2 + max(length, 2)


def _webp_pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    names = {b"C2PA": "C2PA chunk", b"XMP ": "XMP chunk", b"EXIF": "EXIF"}
    for name, body in _webp_chunks(data):
        if name in names:
            yield names[name], body


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _loose_pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    """An AVIF's XMP lies whole somewhere in the file; its C2PA manifest is a uuid box."""
    start, end = data.find(b"<x:xmpmeta"), data.find(b"</x:xmpmeta>")
    if 0 <= start < end:
        yield "XMP", data[start : end + 12]
    if b"c2pa" in data[:4096] and _C2PA_BOX in data:
        yield "C2PA box", data[data.find(_C2PA_BOX) - 4 :]


def _into_png(data: bytes, xmp: bytes) -> bytes:
    parts = [data[:33], chunk(b"iTXt", _XMP_PNG + xmp)]
    for name, body in _png_chunks(data):
        ours = name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")
        if name != b"IHDR" and not ours:
            parts.append(chunk(name, body))
    return b"".join(parts)


def _into_jpeg(data: bytes, xmp: bytes) -> bytes:
    body = _XMP_JPEG + xmp
    if len(body) > 65533:
        raise ValueError(f"the marks are {len(xmp)} bytes long, more than a JPEG can hold")
    head, rest = [b"\xff\xd8"], 2
    segments: list[bytes] = []
    for marker, segment in _jpeg_segments(data):
        whole = struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment
        rest += len(whole)
        if marker == 0xE0 and not segments:
            head.append(whole)
        elif not (marker == 0xE1 and segment.startswith(_XMP_JPEG)):
            segments.append(whole)
    ours = struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body
    return b"".join([*head, ours, *segments]) + data[rest:]


def _into_webp(data: bytes, xmp: bytes) -> bytes:
    """The extended form of the container, with our chunk last and its flag set."""
    chunks = [(name, body) for name, body in _webp_chunks(data) if name != b"XMP "]
    width, height = dimensions(data, "image/webp")
    if chunks[0][0] == b"VP8X":
        flags, chunks = chunks[0][1][0], chunks[1:]
    else:
        clear = chunks[0][0] == b"VP8L" and bool(chunks[0][1][4] & 0x10)
        flags = 0x10 if clear else 0
    head = bytes([flags | 0x04, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"".join(_riff(name, part) for name, part in [(b"VP8X", head), *chunks, (b"XMP ", xmp)])
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
