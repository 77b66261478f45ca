"""Selectors: which entries a command is about."""

from __future__ import annotations

import time

import pytest

from qwenbuild.errors import InputError
from qwenbuild.model import Atlas, Entry, InputRef, OutputSpec
from qwenbuild.select import glob, pulled, select


def entry(name: str, *tags: str, asset: str = "", paths: tuple[str, ...] = (), needs: tuple[str, ...] = ()) -> Entry:
    outputs = tuple(OutputSpec(path) for path in paths or (f"{name}.png",))
    inputs = tuple(InputRef(entry=need) for need in needs)
    return Entry(name, asset or name.partition("/")[0], "placeholder", None, "p", {}, 0, outputs, tags=tags, inputs=inputs)


ENTRIES = [
    entry("potions/red-small", "ui", "red", paths=("web/red.webp", "icons/red.png")),
    entry("potions/blue-small", "ui"),
    entry("potions/big/gold", "boss"),
    entry("heroes/knight", needs=("heroes/base",)),
    entry("heroes/base"),
    entry("logo"),
]
ATLASES = [Atlas("ui", "tag:ui", None, "atlas/ui.png"), Atlas("all", "atlas:ui", None, "atlas/all.png")]


@pytest.mark.parametrize(
    ("selectors", "wanted"),
    [
        ([], [each.id for each in ENTRIES]),
        (["logo"], ["logo"]),
        (["logo", "heroes/base"], ["logo", "heroes/base"]),
        (["potions/*"], ["potions/red-small", "potions/blue-small"]),
        (["*"], ["logo"]),
        (["**"], [each.id for each in ENTRIES]),
        (["potions/**"], ["potions/red-small", "potions/blue-small", "potions/big/gold"]),
        (["**/gold"], ["potions/big/gold"]),
        (["**/logo"], ["logo"]),
        (["potions/**/gold"], ["potions/big/gold"]),
        (["*/base"], ["heroes/base"]),
        (["potions/[rb]*-small"], ["potions/red-small", "potions/blue-small"]),
        (["potions/[!r]*-small"], ["potions/blue-small"]),
        (["l?go"], ["logo"]),
        (["potions?red-small", "logo"], None),
        (["tag:ui"], ["potions/red-small", "potions/blue-small"]),
        (["tag:b*"], ["potions/big/gold"]),
        (["asset:heroes"], ["heroes/knight", "heroes/base"]),
        (["path:web/*"], ["potions/red-small"]),
        (["path:logo.png"], ["logo"]),
        (["path:**/gold.png"], ["potions/big/gold"]),
        (["atlas:ui"], ["potions/red-small", "potions/blue-small"]),
        (["atlas:all"], ["potions/red-small", "potions/blue-small"]),
        (["tag:ui", "logo"], ["potions/red-small", "potions/blue-small", "logo"]),
    ],
)
def test_selectors(selectors: list[str], wanted: list[str] | None) -> None:
    if wanted is None:
        with pytest.raises(InputError):
            select(ENTRIES, selectors, ATLASES)
    else:
        assert select(ENTRIES, selectors, ATLASES) == frozenset(wanted)


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("lgo", "did you mean logo?"),
        ("tag:uii", "did you mean tag:ui?"),
        ("asset:heros", "did you mean asset:heroes?"),
        ("path:lgo.png", "did you mean path:logo.png?"),
        ("atlas:uii", "did you mean atlas:ui?"),
        ("potions", "for the whole asset write asset:potions"),
        ("zzzzzzzzzzzz", ""),
        ("Potions/*", "did you mean potions/red-small, potions/blue-small, potions/big/gold?"),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error_with_the_near_miss(selector: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        select(ENTRIES, ["logo", selector], ATLASES)
    assert caught.value.code == "no-match"
    assert caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert selector in problem.message
    assert problem.hint == hint


def test_all_selectors_that_match_nothing_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        select(ENTRIES, ["a", "b"])
    assert len(caught.value.problems) == 2


def test_an_id_is_taken_as_it_is_before_it_is_a_pattern() -> None:
    strange = [entry("a[1]"), entry("a1"), entry("tag:x", "y"), entry("z", "x")]
    assert select(strange, ["a[1]"]) == {"a[1]"}
    assert select(strange, ["tag:x"]) == {"tag:x"}


@pytest.mark.parametrize(
    ("pattern", "text", "same"),
    [
        ("a.b", "axb", False),
        ("a+", "a+", True),
        ("[", "[", True),
        ("[]]", "]", True),
        ("[a-c]", "b", True),
        ("[c-a]", "-", True),
        ("[!a]", "/", False),
        ("[^a]", "^", True),
        ("[\\]", "\\", True),
        ("[[]", "[", True),
        ("a/**", "a/", True),
        ("a/**/b", "a/b", True),
        ("a**b", "a/x/b", True),
        ("***", "a/b", True),
        ("*", "", True),
        ("a\nb*", "a\nbc", True),
    ],
)
def test_globs(pattern: str, text: str, same: bool) -> None:
    assert bool(glob(pattern)(text)) is same


def test_an_atlas_that_selects_itself_is_an_error() -> None:
    with pytest.raises(InputError, match="selects itself"):
        select(ENTRIES, ["atlas:a"], [Atlas("a", "atlas:b", None, "a.png"), Atlas("b", "atlas:a", None, "b.png")])


def test_what_the_selected_entries_need_is_pulled_in_and_named() -> None:
    chain = [entry("a", needs=("b", "c")), entry("b", needs=("d",)), entry("c"), entry("d"), entry("e", needs=("a",))]
    assert pulled(chain, {"a"}) == {"b", "c", "d"}
    assert pulled(chain, {"a", "b"}) == {"c", "d"}
    assert pulled(chain, {"c"}) == frozenset()


def test_selecting_among_a_hundred_thousand_is_quick() -> None:
    many = [entry(f"icons/{n % 100}/{n}", asset="icons") for n in range(100_000)]
    start = time.process_time()
    assert len(select(many, ["icons/7/*", "asset:icons", "path:icons/8/**"])) == 100_000
    assert time.process_time() - start < 3
