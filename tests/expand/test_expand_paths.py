"""The path guard: two hundred hostile paths, what stays allowed, and properties that hold for any text."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwenbuild.expand.paths import DEVICES, collision_key, guard_path

HOSTILE = [
    # out of the tree
    *("", "/", "//", "/etc/passwd", "//server/share/x", "..", "../x", "a/..", "a/../b", "a/../../b", "./x", "a/./b", "."),
    *("...", "a/...", "....//", "..\\x", "\\x", "\\\\server\\share\\x", "a\\b", "a\\..\\..\\b", "C:", "C:\\x", "C:/x", "c:x"),
    *("\\\\?\\C:\\x", "\\\\.\\PhysicalDrive0", "//?/C:/x", "/dev/null", "file:///etc/passwd", "https://x/y"),
    *("a//b", "a/", "a/b/", "/a/", " /a", "a/ /b", "\x00", "a\x00b", "a\nb", "a\rb", "a\tb", "\x1b[2Ja", "a\x7f", "a\x85b"),
    # what Windows refuses or changes
    *("a<b", "a>b", "a:b", 'a"b', "a|b", "a?b", "a*b", "a.png:stream", "a.png::$DATA", "*", "?.png", "a/b:c/d"),
    *("a.", "a..", "a. ", "a ", " a", "a /b", "a./b", "a/ b", "a/b ", "a/b.", ".hidden", ".a/b", "a/.b", "x/ . /y"),
    *("CON", "con", "Con.png", "con.tar.gz", "a/CON", "a/con.png/b", "PRN", "prn.txt", "AUX", "aux.x", "NUL", "nul.png"),
    *("CONIN$", "conout$", "conin$.png", "CON .png", "con  .x", "NUL .tar.gz", "a/aux /b", "aux .png"),
    *(f"{port}{number}" for port in ("COM", "lpt") for number in range(1, 10)),
    *(f"{port}{number}.png" for port in ("com", "LPT") for number in "123456789¹²³"),
    *("COM¹", "LPT²", "com³.x", "a/com1/b", "lpt9.tar.gz"),
    # git, and what is ours
    *(".git", ".GIT", ".Git/config", "a/.git/hooks/post-checkout", ".gitmodules", ".gitignore", ".gitattributes", ".git "),
    *("git~1", "GIT~1", "git~1/config", "a/git~2", "GIT~12/x", "git~1.x", ".git::$INDEX_ALLOCATION/x", ".git.", "a/.GiT"),
    *(".g\u200cit", ".gi\u200dt/config", "\u200e.git", ".git\u200f", ".\u202egit", "\ufeff.git"),
    *(
        "qwenbuild.lock",
        "QWENBUILD.LOCK",
        "a/qwenbuild.lock",
        "qwenbuild.yaml",
        "Qwenbuild.YML",
        "qwenbuild.yml/x",
        ".qwenbuild",
    ),
    *(".QwenBuild/x", "qwenbu~1.loc", "QWENBU~1.YAM", "qwenbuild.loc\u212a", "qwenbuild.lock "),
    # what cannot be seen or written
    *(
        "a\u202eb.png",
        "a\u200bb",
        "a\u200eb",
        "a\u2066b",
        "a\ufeffb",
        "\u00ada",
        "a\u061cb",
        "a\u2028b",
        "a\u2029b",
        "a\u180eb",
    ),
    *("\ud800", "a\udfffb", "\ue000", "a\uf8ffb", "\U000f0000", "\U0010fffd", "\U000e0041", "a\u2060b", "a\u206ab"),
    *("\u3000a", "a\u3000", "\u00a0a/b", "a\u2003/b", "a\u00a0"),
    # too long
    *("a" * 201, "é" * 101, "a/" + "b" * 201, "/".join(["abcdefghi"] * 101), "字" * 67, "a" * 197 + ".png"),
    *("c/" * 500 + "d", "𝒳" * 51, "e\u0301" * 150),
]
ALLOWED = [
    *(
        "a",
        "a.png",
        "A-b_c.d.png",
        "icons/red-small.png",
        "a b/c d.png",
        "a..b",
        "a.b.c",
        "a - b",
        "x" * 200,
        "a/b/c/d/e/f/g.png",
    ),
    *("console.png", "contact/aux-1.png", "com10.png", "com", "lpt", "nulls", "prnx", "COM0", "icon", "auxiliary/x", "con-1"),
    *(
        "git",
        "git/x",
        "gitter",
        "my.git",
        "a.gitignore",
        "qwenbuild",
        "qwenbuild.png",
        "qwenbuild.lock.png",
        "x-qwenbuild.yaml",
    ),
    *(
        "café.png",
        "字/图.png",
        "アイコン.webp",
        "straße",
        "🧪/x.png",
        "हिन्दी",
        "مرحبا",
        "a+b",
        "a=b",
        "a,b;c",
        "a(b)[c]{d}",
        "a#b%c&d",
    ),
    *("a'b", "a`b", "a!b", "a@b", "a$b", "a^b", "a~b", "~a", "-rf", "0", "_", "a/~1"),
]


def test_there_are_two_hundred_hostile_paths() -> None:
    assert len(set(HOSTILE)) >= 200


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_a_hostile_path_is_refused_with_a_sentence(path: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+") as caught:
        guard_path(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ALLOWED, ids=ascii)
def test_an_ordinary_path_is_allowed_as_it_is(path: str) -> None:
    assert guard_path(path) == path


def test_the_sentence_says_what_is_wrong_and_where() -> None:
    with pytest.raises(ValueError, match=r"'con\.png' in 'icons/con\.png/x\.png' is the name of a device on Windows"):
        guard_path("icons/con.png/x.png")


def test_a_path_comes_back_in_nfc() -> None:
    assert guard_path("cafe\u0301/x") == "café/x"


TEXT = st.text(
    st.one_of(st.sampled_from("aAeE./\\ :*?~-_1\u0301éKßıİſ字\u200d\u202e\ud800\ue000"), st.characters()), max_size=40
)
PARTS = st.sampled_from([*sorted(DEVICES), ".git", "git~1", "qwenbuild.lock", "a", "b.png", "..", ".", "", "ﬁ", "x " * 2])
PATHS = st.one_of(TEXT, st.lists(st.one_of(TEXT, PARTS), max_size=5).map("/".join))


@settings(max_examples=2000, deadline=None)
@given(PATHS)
@example("a/b")
def test_what_passes_is_safe_by_every_platforms_rules(text: str) -> None:
    try:
        path = guard_path(text)
    except ValueError:
        return
    assert path == unicodedata.normalize("NFC", text)
    assert guard_path(path) == path
    assert path.encode()
    _posix_agrees(path)
    _windows_agrees(path)
    _mac_agrees(path)


def _posix_agrees(path: str) -> None:
    assert posixpath.normpath(posixpath.join("/out", path)) == f"/out/{path}"
    assert "\0" not in path
    assert all(0 < len(part.encode()) <= 200 for part in path.split("/"))


def _windows_agrees(path: str) -> None:
    joined = ntpath.normpath(ntpath.join("C:\\out", path))
    assert joined == "C:\\out\\" + path.replace("/", "\\")
    for part in path.split("/"):
        assert not set(part) & set('<>:"\\|?*')
        assert min(part) >= " "
        assert part == part.rstrip(" .")
        assert part.split(".")[0].rstrip(" ").lower() not in DEVICES


def _mac_agrees(path: str) -> None:
    for part in path.split("/"):
        seen = unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold())
        assert not seen.startswith(".git")
        assert all(unicodedata.category(character) not in ("Cf", "Cc", "Cs", "Co") for character in part)


@settings(max_examples=1000, deadline=None)
@given(TEXT)
def test_spellings_of_one_file_have_one_collision_key(text: str) -> None:
    for spelled in (unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), text.casefold()):
        assert collision_key(spelled) == collision_key(text)
    assert collision_key(collision_key(text)) == collision_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Icon.PNG", "icon.png"), ("café", "CAFE\u0301"), ("straße", "STRASSE"), ("ﬁsh", "fish"), ("\u212a", "k"), ("Σας", "ΣΑΣ")],
)
def test_names_that_are_one_file_somewhere_collide(one: str, other: str) -> None:
    assert collision_key(one) == collision_key(other)


@settings(max_examples=1000, deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_the_quick_way_and_the_long_way_agree(text: str) -> None:
    from qwenbuild.expand import paths

    def long_way() -> bool:
        try:
            paths._normalised(text)
            for part in text.split("/"):
                paths._guard_part(part, text)
        except ValueError:
            return False
        return True

    if paths._PLAIN.match(text):
        assert long_way()
