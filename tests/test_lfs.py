"""What is a git-LFS pointer, to the byte, and what is none."""

from __future__ import annotations

import pytest

from qwenbuild.lfs import pointer_oid


def pointer(digest: str, size: int = 4321) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n".encode()


@pytest.mark.parametrize(
    "data",
    [
        pointer("a" * 64).replace(b"\n", b"\r\n"),
        pointer("a" * 64).rstrip(b"\n"),
        pointer("a" * 64).replace(b"oid ", b"ext-0-foo sha256:" + b"b" * 64 + b"\noid "),
    ],
)
def test_each_form_of_a_pointer_is_one(data: bytes) -> None:
    assert pointer_oid(data) == "a" * 64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        pointer("a" * 63),
        pointer("A" * 64),
        pointer("a" * 64) + b"more\n",
        b"\n" + pointer("a" * 64),
        pointer("a" * 64).replace(b"size 4321", b"size many"),
        pointer("a" * 64).replace(b"git-lfs.github.com", b"example.com"),
        pointer("a" * 64).replace(b"oid ", b"ext-0-x " + b"y" * 1000 + b"\noid "),
    ],
)
def test_whatever_is_not_exactly_a_pointer_is_none(data: bytes) -> None:
    assert pointer_oid(data) == ""


def padded(size: int) -> bytes:
    """A pointer of that many bytes, by the line of an extension."""
    bare = pointer("a" * 64).replace(b"oid ", b"ext-0-x \noid ")
    return bare.replace(b"ext-0-x ", b"ext-0-x " + b"y" * (size - len(bare)))


def test_a_pointer_has_less_than_1024_bytes() -> None:
    assert pointer_oid(padded(1023)) == "a" * 64
    assert pointer_oid(padded(1024)) == ""
