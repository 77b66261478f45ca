"""One entry's files, made from its picture in a real tree and vault: what is written, what is left alone, what is locked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbuild import tree
from qwenbuild.cache import Cache
from qwenbuild.cache.attempts import Attempt, Intent
from qwenbuild.engine.acceptance import Unfit
from qwenbuild.engine.publish import PublishedFiles, Publisher, keep_aside
from qwenbuild.errors import CacheError
from qwenbuild.images import PluginFailed, derive, find_marks, normalise, sniff
from qwenbuild.key import action_key, judgement_key, recipe_key, short_document, unsuited_key
from qwenbuild.lfs import NOT_FETCHED
from qwenbuild.model import ImageStep, Keyed, LockEntry, LockOutput, OutputSpec, Step, Ticket, Verdict
from qwenbuild.plan import Observed, Wishes, make_plan
from tests.images.pictures import saved
from tests.test_plan import ACTION, KEY, keyed, record, result
from tests.test_plan_choices import wanted
from tests.test_plan_pictures import BLUE, NEXT
from tests.test_walk_marks import signed_png

SMALL = normalise("resize", {"width": 8, "height": 8})
NARROW = {"width": 8}
"""An expectation that no picture here meets, for they are 16 pixels wide."""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(*colour: int, kind: str = "PNG") -> bytes:
    return saved(Image.new("RGB", (16, 16), colour), kind)


RED, GREEN, THEIRS = picture(200, 0, 0), picture(0, 200, 0), picture(9, 9, 9)
RECIPE = recipe_key(sha(RED), [SMALL], "off")
MADE = derive(RED, [SMALL], "image/png")


def pointer(digest: str) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 12\n".encode()


@dataclass
class Desk:
    """A tree, a vault and a lockfile; `publish` plans one entry with what is there and carries it out."""

    root: Path
    cache: Cache
    lock: dict[str, LockEntry] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    more: dict[str, Any] = field(default_factory=dict)
    publisher: Publisher | None = None

    def put(self, path: str, data: bytes) -> str:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)
        return sha(data)

    def buy(self, data: bytes = RED, key: str = KEY, **facts: Any) -> str:
        digest = self.cache.put_blob(data)
        self.cache.put_result(replace(result(digest, key), **facts))
        return digest

    def read(self, path: str = "a.png") -> bytes:
        return (self.root / path).read_bytes()

    def aside(self) -> list[str]:
        folder = self.root.parent / "state/overwritten"
        return sorted(one.name for one in folder.iterdir()) if folder.exists() else []

    def found(self) -> dict[str, tree.TreeFile]:
        return tree.observe(self.root, [p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file()])

    def desk(self, **more: Any) -> Publisher:
        given = {"is_wanted": lambda path: False, **self.more, **more}
        self.publisher = Publisher(self.root, self.root.parent / "state", self.cache, self.found(), self.lock, **given)
        return self.publisher

    def step(self, item: Keyed, wishes: Wishes | None = None, **seen: Any) -> Step:
        keys = [one.key for one in item.candidates]
        files = {path: found.digest for path, found in self.found().items()}
        blobs = self.cache.known_blobs()
        observed = Observed(
            self.lock,
            self.cache.results(keys),
            blobs,
            files=files,
            ours=self.ours | blobs | set(self.cache.is_ours(files.values())),
        )
        return make_plan([item], replace(observed, **seen), wishes).steps[0]

    def publish(
        self, item: Keyed | None = None, wishes: Wishes | None = None, results: Mapping[str, Any] | None = None, **seen: Any
    ) -> tuple[LockEntry, PublishedFiles]:
        said = wishes or Wishes(provenance=self.more.get("provenance", "off"))
        return self.desk().publish(self.step(item or keyed(), said, **seen), results or {})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "assets").mkdir()
    return Desk(tmp_path / "assets", Cache.open(tmp_path / "vault"))


def files_of(*outputs: OutputSpec, **entry: Any) -> Keyed:
    item = keyed()
    return replace(item, entry=replace(item.entry, outputs=outputs, **entry))


def locked(data: bytes = RED, **more: Any) -> LockEntry:
    return record(digest=sha(data), **more)


# ---------------------------------------------------------------- the picture itself


def test_a_bought_picture_is_written_byte_for_byte_and_locked(desk: Desk) -> None:
    digest = desk.buy()
    entry, files = desk.publish()
    assert desk.read() == RED
    assert entry == LockEntry(KEY, digest, short_document(ACTION), "2026-11-20", {"a.png": LockOutput()})
    assert files == PublishedFiles({"a.png": LockOutput()}, ("a.png",), 0, ())
    assert desk.publisher is not None
    assert desk.publisher.placed == desk.found()


def test_a_file_that_is_there_is_not_written_again(desk: Desk) -> None:
    desk.buy()
    desk.put("a.png", RED)
    before = (desk.root / "a.png").stat().st_ino
    entry, files = desk.publish()
    assert (files.written, entry.outputs, (desk.root / "a.png").stat().st_ino) == ((), {"a.png": LockOutput()}, before)


def test_the_picture_that_the_build_brought_goes_before_the_one_that_the_plan_knew(desk: Desk) -> None:
    desk.buy()
    step = desk.step(keyed())
    green = result(desk.cache.put_blob(GREEN), KEY, billed=None)
    entry, _ = desk.desk().publish(step, {KEY: replace(green, made="2026-11-21")})
    assert (desk.read(), entry.digest, entry.made) == (GREEN, sha(GREEN), "2026-11-21")


def test_the_type_of_a_picture_is_what_its_bytes_are_and_is_locked_where_it_surprises(desk: Desk) -> None:
    jpeg = picture(1, 2, 3, kind="JPEG")
    desk.buy(jpeg, media_type="image/jpeg")
    entry, files = desk.publish()
    assert (entry.media_type, sniff(desk.read()), files.derived) == ("image/jpeg", "image/png", 1)
    assert entry.outputs["a.png"].digest == sha(desk.read()) != sha(jpeg)


@pytest.mark.parametrize("told", ["image/webp", "image/png"])
def test_where_the_bytes_are_gone_the_type_is_what_the_receipt_said(desk: Desk, told: str) -> None:
    recipe = recipe_key(sha(RED), [SMALL, *([normalise("format", {"type": "png"})] if told == "image/webp" else [])], "off")
    desk.lock["a"] = locked(outputs={"a.png": LockOutput(sha(MADE), recipe)}, media_type=told if told == "image/webp" else "")
    desk.put("a.png", MADE)
    entry, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,))))
    assert (entry.media_type, entry.outputs) == (desk.lock["a"].media_type, desk.lock["a"].outputs)
    assert (files.written, files.failures, desk.read()) == ((), (), MADE)
    step = desk.step(files_of(OutputSpec("a.png", (SMALL,))))
    receipt = replace(result(sha(RED)), media_type="image/avif")
    assert desk.desk().publish(replace(step, outputs=()), {KEY: receipt})[0].media_type == "image/avif"


def test_the_type_is_that_of_the_bytes_whatever_lockfile_and_receipt_say(desk: Desk) -> None:
    jpeg = picture(1, 2, 3, kind="JPEG")
    desk.buy(jpeg, media_type="image/webp")
    entry, files = desk.publish(files_of(OutputSpec("a.jpg")))
    assert (entry.media_type, desk.read("a.jpg"), files.derived) == ("image/jpeg", jpeg, 0)
    other = picture(3, 2, 1, kind="JPEG")
    desk.put("old.jpg", other)
    desk.lock["a"] = locked(other, outputs={"old.jpg": LockOutput()})
    entry, files = desk.publish(files_of(OutputSpec("b.jpg")))
    assert (entry.media_type, desk.read("b.jpg"), files.derived) == ("image/jpeg", other, 0)


# ---------------------------------------------------------------- where the bytes come from


def test_bytes_that_only_another_file_of_the_tree_has_enter_the_vault(desk: Desk) -> None:
    digest = desk.put("old.png", RED)
    desk.lock["a"] = locked(outputs={"old.png": LockOutput()})
    entry, files = desk.publish()
    assert (desk.read(), files.written, desk.cache.read_blob(digest)) == (RED, ("a.png",), RED)
    assert entry.outputs == {"a.png": LockOutput(), "old.png": LockOutput(digest, "", True)}


def test_bytes_come_from_the_shared_cache_and_are_held_against_their_digest(desk: Desk) -> None:
    desk.lock["a"] = locked()
    shared: dict[str, Any] = {"shared": {sha(RED)}}
    for brought in (None, GREEN):
        desk.more["fetch"] = lambda digest, brought=brought: brought
        with pytest.raises(CacheError, match="not in the cache any more"):
            desk.publish(**shared)
        assert list(desk.root.iterdir()) == []
    desk.more["fetch"] = lambda digest: RED if digest == sha(RED) else None
    assert desk.publish(**shared)[1].written == ("a.png",)
    assert desk.desk().bytes_of(sha(RED)) == desk.read() == RED


def test_a_file_of_the_tree_that_changed_under_the_build_is_not_taken_for_the_picture(desk: Desk) -> None:
    digest = desk.put("old.png", RED)
    publisher = desk.desk()
    desk.put("old.png", GREEN)
    with pytest.raises(CacheError, match=digest[:12]):
        publisher.bytes_of(digest)


def test_a_file_is_made_of_a_picture_that_only_the_tree_has(desk: Desk) -> None:
    desk.put("old.png", RED)
    desk.lock["a"] = locked(outputs={"old.png": LockOutput()})
    assert desk.publish(files_of(OutputSpec("a.png", (SMALL,))))[1].written == ("a.png",)
    assert (desk.read(), desk.cache.has_blob(sha(RED))) == (MADE, True)


def test_a_made_file_that_changed_under_the_build_is_not_copied(desk: Desk) -> None:
    desk.buy()
    desk.put("old.png", MADE)
    desk.lock["a"] = locked(outputs={"old.png": LockOutput(sha(MADE), RECIPE)})
    step = desk.step(files_of(OutputSpec("a.png", (SMALL,))))
    publisher = desk.desk()
    desk.put("old.png", THEIRS)
    publisher.publish(step, {})
    assert desk.read() == MADE


# ---------------------------------------------------------------- what is expected


def test_a_picture_that_is_not_what_is_expected_is_not_published_and_the_finding_is_kept(desk: Desk) -> None:
    digest = desk.buy()
    step = desk.step(files_of(OutputSpec("a.png"), expect=NARROW))
    with pytest.raises(Unfit, match="16"):
        desk.desk().publish(step, {})
    assert list(desk.root.iterdir()) == []
    assert "16" in (desk.cache.judgement(judgement_key(NARROW, digest)) or "")
    wide = {"width": 16}
    desk.publish(files_of(OutputSpec("a.png"), expect=wide))
    assert desk.cache.judgement(judgement_key(wide, digest)) == ""


def test_what_was_judged_before_is_not_looked_at_again(desk: Desk) -> None:
    digest = desk.buy()
    desk.cache.put_judgement(judgement_key(NARROW, digest), "")
    assert desk.publish(files_of(OutputSpec("a.png"), expect=NARROW))[1].written == ("a.png",)


def test_where_only_a_made_file_is_left_nothing_is_said_of_the_picture(desk: Desk) -> None:
    desk.put("a.png", MADE)
    desk.lock["a"] = locked(outputs={"a.png": LockOutput(sha(MADE), RECIPE)})
    entry, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,)), expect=NARROW))
    assert (entry.digest, files.unfit, files.failures) == (sha(RED), (), ())


@pytest.mark.parametrize("steps", [(), (SMALL,)], ids=["the picture", "made of it"])
def test_a_file_that_is_not_what_is_expected_is_told_and_its_lock_line_and_its_neighbour_stay(
    desk: Desk, steps: tuple[ImageStep, ...]
) -> None:
    desk.buy()
    line = LockOutput("7" * 64, "8" * 64)
    desk.lock["a"] = locked(outputs={"a.png": line})
    entry, files = desk.publish(files_of(OutputSpec("a.png", steps, expect={"width": 99}), OutputSpec("b.png")))
    assert ([path for path, _ in files.unfit], files.failures, files.written) == (["a.png"], (), ("b.png",))
    assert entry.outputs == {"a.png": line, "b.png": LockOutput()}
    assert not (desk.root / "a.png").exists()


def test_a_made_file_that_is_there_is_held_against_a_new_expectation_too(desk: Desk) -> None:
    desk.buy()
    desk.publish(files_of(OutputSpec("a.png", (SMALL,))))
    _, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,), expect={"width": 99})))
    assert [path for path, _ in files.unfit] == ["a.png"]
    assert desk.publish(files_of(OutputSpec("a.png", (SMALL,), expect=NARROW)))[1].unfit == ()
    assert desk.cache.judgement(judgement_key(NARROW, sha(MADE))) == ""


def test_the_finding_of_a_made_file_is_kept_by_its_own_bytes(desk: Desk) -> None:
    desk.buy()
    desk.publish(files_of(OutputSpec("a.png", (SMALL,), expect=NARROW)))
    assert desk.cache.judgement(judgement_key(NARROW, sha(MADE))) == ""


def test_a_plug_in_that_fails_says_nothing_of_the_picture_and_nothing_is_remembered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **said: Any) -> Any:
        raise PluginFailed("the plug-in failed")

    digest = desk.buy()
    with monkeypatch.context() as patched:
        patched.setattr("qwenbuild.checks.judge", fails)
        with pytest.raises(Unfit, match="the plug-in failed"):
            desk.publish(files_of(OutputSpec("a.png"), expect=NARROW))
    assert desk.cache.judgement(judgement_key(NARROW, digest)) is None
    with monkeypatch.context() as patched:
        patched.setattr("qwenbuild.images.derive", fails)
        assert desk.publish(files_of(OutputSpec("a.png", (SMALL,))))[1].unfit == (("a.png", "the plug-in failed"),)
    assert desk.cache.judgement(unsuited_key(RECIPE)) is None


# ---------------------------------------------------------------- files that are made


def test_a_made_file_is_written_once_and_its_recipe_known(desk: Desk) -> None:
    desk.buy()
    item = files_of(OutputSpec("a.png", (SMALL,)))
    entry, files = desk.publish(item)
    assert (desk.read(), files.written, files.derived) == (MADE, ("a.png",), 1)
    assert entry.outputs == {"a.png": LockOutput(sha(MADE), RECIPE)}
    assert desk.cache.derived([RECIPE]) == {RECIPE: sha(MADE)}
    desk.lock["a"] = entry
    again, files = desk.publish(item)
    assert (again, files.written, files.derived) == (entry, (), 0)


def test_a_made_file_that_only_moved_is_copied_and_keeps_the_bytes_that_the_lockfile_names(desk: Desk) -> None:
    """The bytes are another encoder's: making them anew would give others."""
    desk.buy()
    elders = derive(GREEN, [SMALL], "image/png")
    desk.put("old.png", elders)
    desk.lock["a"] = locked(outputs={"old.png": LockOutput(sha(elders), RECIPE)})
    entry, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,))))
    assert (desk.read(), files.written) == (elders, ("a.png",))
    assert entry.outputs["a.png"] == LockOutput(sha(elders), RECIPE)


def test_a_made_file_whose_very_bytes_the_vault_has_is_not_made_anew(desk: Desk) -> None:
    desk.buy()
    elders = derive(GREEN, [SMALL], "image/png")
    desk.cache.put_blob(elders)
    desk.lock["a"] = locked(outputs={"a.png": LockOutput(sha(elders), RECIPE)})
    assert desk.publish(files_of(OutputSpec("a.png", (SMALL,))))[0].outputs["a.png"].digest == sha(elders)
    assert desk.read() == elders


def test_a_made_file_of_another_encoder_is_left_and_the_lockfile_keeps_its_word(desk: Desk) -> None:
    desk.buy()
    desk.put("a.png", MADE)
    desk.cache.put_derived(RECIPE, sha(MADE), {})
    desk.lock["a"] = locked(outputs={"a.png": LockOutput("7" * 64, RECIPE)})
    entry, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,))))
    assert (files.written, entry.outputs) == ((), {"a.png": LockOutput("7" * 64, RECIPE)})
    desk.put("a.png", GREEN)
    entry, files = desk.publish(files_of(OutputSpec("a.png", (SMALL,))), Wishes(overwrite=True))
    assert (files.written, desk.read(), entry.outputs["a.png"].digest) == (("a.png",), MADE, "7" * 64)


def test_the_finding_of_another_encoders_file_is_kept_by_the_bytes_that_are_here(desk: Desk) -> None:
    """The lockfile names the bytes that a colleague's library made; the next plan asks for those that it sees."""
    digest = desk.buy()
    theirs = LockOutput(sha(THEIRS), RECIPE)
    desk.lock = {"a": locked(outputs={"a.png": theirs})}
    item = files_of(OutputSpec("a.png", (SMALL,), expect={"size": "8*8"}))
    desk.put("a.png", MADE)
    desk.cache.put_derived(RECIPE, sha(MADE), {"picture": digest})
    entry, _ = desk.publish(item)
    assert entry.outputs == {"a.png": theirs}
    assert desk.cache.judgement(judgement_key({"size": "8*8"}, sha(MADE))) == ""
    assert desk.cache.judgement(judgement_key({"size": "8*8"}, sha(THEIRS))) is None


def test_a_jpeg_is_never_copied_into_a_png_because_the_plan_took_it_for_one(desk: Desk) -> None:
    """The plan knew no receipt and took the picture for a PNG, whose file is the very picture; its bytes are a JPEG's."""
    jpeg = picture(200, 0, 0, kind="JPEG")
    digest = desk.cache.put_blob(jpeg)
    desk.lock = {"a": record(digest=digest, outputs={})}
    step = desk.step(keyed(), results={})
    assert (step.outputs[0].recipe, step.outputs[0].digest) == ("", digest)
    entry, _ = desk.desk().publish(step, {})
    assert sniff(desk.read()) == "image/png"
    assert entry.outputs["a.png"].digest == sha(desk.read()) != digest


def test_a_made_file_that_is_there_is_locked_again_when_the_lockfile_was_lost(desk: Desk) -> None:
    desk.buy()
    item = files_of(OutputSpec("a.png", (SMALL,)))
    desk.publish(item)
    entry, files = desk.publish(item)
    assert (files.written, entry.outputs) == ((), {"a.png": LockOutput(sha(MADE), RECIPE)})


def test_a_file_of_an_unknown_extension_has_the_pictures_type(desk: Desk) -> None:
    desk.buy()
    desk.publish(files_of(OutputSpec("a.dat", (SMALL,))))
    assert desk.read("a.dat") == MADE


def test_a_line_of_another_recipe_is_replaced(desk: Desk) -> None:
    desk.buy()
    desk.lock["a"] = locked(outputs={"a.png": LockOutput("7" * 64, "8" * 64)})
    assert desk.publish(files_of(OutputSpec("a.png", (SMALL,))))[0].outputs == {"a.png": LockOutput(sha(MADE), RECIPE)}


def test_steps_that_do_not_suit_the_picture_are_told_and_remembered(desk: Desk) -> None:
    desk.buy()
    outside = normalise("crop", {"box": [100, 100, 8, 8]})
    _, files = desk.publish(files_of(OutputSpec("a.png", (outside,)), OutputSpec("b.png")))
    assert ([path for path, _ in files.unfit], files.written) == (["a.png"], ("b.png",))
    told = desk.cache.judgement(unsuited_key(recipe_key(sha(RED), [outside], "off")))
    assert told == files.unfit[0][1] != ""


@pytest.mark.parametrize("provenance", ["off", "basic", "full"])
def test_marks_are_written_as_the_manifest_says(desk: Desk, provenance: str) -> None:
    desk.buy()
    desk.more["provenance"] = provenance
    entry, files = desk.publish()
    told = "\n".join(mark.text for mark in find_marks(desk.read()))
    assert (desk.read() == RED, files.derived) == ((True, 0) if provenance == "off" else (False, 1))
    assert (KEY in desk.read().decode("latin1"), ACTION.model in desk.read().decode("latin1")) == (provenance == "full",) * 2
    assert (sha(ACTION.prompt.encode()) in desk.read().decode("latin1")) is (provenance == "full")
    assert bool(told) is (provenance != "off")
    assert bool(entry.outputs["a.png"].recipe) is (provenance != "off")


def test_a_signed_picture_is_copied_untouched_and_a_file_made_of_it_is_named(desk: Desk) -> None:
    signed = signed_png(RED)
    desk.buy(signed)
    desk.more["provenance"] = "basic"
    _, files = desk.publish(files_of(OutputSpec("a.png"), OutputSpec("b.png", (SMALL,))))
    assert (desk.read(), files.unsigned, files.written) == (signed, ("b.png",), ("a.png", "b.png"))


def test_a_palette_is_read_by_its_digest_and_one_that_changed_makes_no_file(desk: Desk, tmp_path: Path) -> None:
    desk.buy()
    place = tmp_path / "two.hex"
    place.write_text("ff0000\n000000\n")
    digest = sha(place.read_bytes())
    step = normalise("quantize", {"palette": "two.hex"})
    item = files_of(OutputSpec("a.png", (ImageStep(step.kind, {**step.args, "palette": digest}),)))
    desk.more["palettes"] = {digest: place}
    assert desk.publish(item)[1].derived == 1
    desk.put("a.png", b"")
    (desk.root / "a.png").unlink()
    place.write_text("00ff00\n000000\n")
    _, files = desk.publish(item)
    assert ("two.hex changed" in str(files.failures), files.written) == (True, ())


# ---------------------------------------------------------------- files of other people


def test_a_persons_file_is_left_with_its_lock_line_and_the_next_file_is_written(desk: Desk) -> None:
    desk.buy()
    desk.put("a.png", THEIRS)
    item = files_of(OutputSpec("a.png"), OutputSpec("b.png"))
    entry, files = desk.publish(item)
    assert (desk.read(), files.written, set(entry.outputs)) == (THEIRS, ("b.png",), {"b.png"})
    line = LockOutput("7" * 64, "8" * 64)
    desk.lock["a"] = locked(outputs={"a.png": line})
    assert desk.publish(item)[0].outputs == {"a.png": line, "b.png": LockOutput()}


def test_an_overwritten_file_of_a_person_is_kept_aside_under_its_own_name(desk: Desk) -> None:
    desk.buy()
    desk.lock["c"] = record(BLUE, "7" * 64)
    digest = desk.put("a.png", THEIRS)
    assert desk.publish(wishes=Wishes(overwrite=True))[1].written == ("a.png",)
    assert (desk.read(), desk.aside()) == (RED, [f"a.{digest[:12]}.png"])
    assert (desk.root.parent / "state/overwritten" / desk.aside()[0]).read_bytes() == THEIRS


def test_a_file_whose_bytes_the_vault_has_is_not_kept_aside(desk: Desk) -> None:
    desk.buy()
    desk.put("a.png", GREEN)
    desk.cache.put_blob(GREEN)
    assert (desk.publish()[1].written, desk.read(), desk.aside()) == (("a.png",), RED, [])


def test_a_made_file_of_ours_is_replaced_without_keeping_it_aside(desk: Desk) -> None:
    desk.buy()
    desk.put("a.png", MADE)
    desk.cache.put_derived(RECIPE, sha(MADE), {})
    assert (desk.publish()[1].written, desk.read(), desk.aside()) == (("a.png",), RED, [])


def test_a_picture_of_the_lockfile_that_only_the_tree_has_enters_the_vault_before_it_is_replaced(desk: Desk) -> None:
    desk.buy()
    digest = desk.put("a.png", GREEN)
    desk.lock = {"b": record(BLUE, digest, outputs={"b.png": LockOutput()})}
    assert desk.publish()[1].written == ("a.png",)
    assert (desk.read(), desk.cache.read_blob(digest), desk.aside()) == (RED, GREEN, [])


def test_a_pointer_to_the_very_picture_is_replaced_and_one_to_another_kept_aside(desk: Desk) -> None:
    digest = desk.buy()
    desk.put("a.png", pointer(digest))
    desk.publish(pointers={"a.png": digest})
    assert (desk.read(), desk.aside()) == (RED, [])
    other = desk.put("a.png", pointer("7" * 64))
    desk.publish(wishes=Wishes(overwrite=True), pointers={"a.png": "7" * 64})
    assert (desk.read(), desk.aside()) == (RED, [f"a.{other[:12]}.png"])


def test_a_pointer_whose_bytes_are_nowhere_is_left_and_told(desk: Desk) -> None:
    desk.put("a.png", pointer(sha(MADE)))
    desk.lock["a"] = locked(outputs={"a.png": LockOutput(sha(MADE), RECIPE)})
    item = files_of(OutputSpec("a.png", (SMALL,)))
    entry, files = desk.publish(item, pointers={"a.png": sha(MADE)})
    assert (files.failures, files.written, desk.read()) == ((("a.png", NOT_FETCHED),), (), pointer(sha(MADE)))
    assert entry.outputs == desk.lock["a"].outputs


def test_a_file_that_came_while_the_build_ran_is_left_alone_and_told(desk: Desk) -> None:
    desk.buy()
    step = desk.step(files_of(OutputSpec("a.png"), OutputSpec("b.png")))
    publisher = desk.desk()
    desk.put("a.png", THEIRS)
    entry, files = publisher.publish(step, {})
    assert (desk.read(), files.written, [path for path, _ in files.failures]) == (THEIRS, ("b.png",), ["a.png"])
    assert entry.outputs == {"b.png": LockOutput()}


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.png", "a.{}.png"), ("deep/a.tar.gz", "a.tar.{}.gz"), ("README", "README.{}"), (".hidden", "hidden.{}.")],
)
def test_what_is_kept_aside_keeps_its_name_with_the_digest_in_it(desk: Desk, tmp_path: Path, path: str, name: str) -> None:
    digest = desk.put(path, THEIRS)
    kept = keep_aside(desk.root, path, tmp_path / "made/state", digest)
    assert (kept.name, kept.read_bytes()) == (name.format(digest[:12]), THEIRS)
    assert keep_aside(desk.root, path, tmp_path / "made/state", digest) == kept


# ---------------------------------------------------------------- sheets and other files made of files


def test_a_file_made_of_others_is_written_noted_and_written_again_only_when_asked(desk: Desk) -> None:
    publisher = desk.desk()
    assert publisher.place_made("sheet.png", sha(GREEN), GREEN, "9" * 64)
    assert (desk.read("sheet.png"), desk.cache.derived(["9" * 64])) == (GREEN, {"9" * 64: sha(GREEN)})
    assert not publisher.place_made("sheet.png", sha(GREEN), GREEN, "9" * 64)
    later = desk.desk()
    assert not later.place_made("sheet.png", sha(GREEN), GREEN, "9" * 64)
    assert later.placed == {}
    assert later.place_made("sheet.png", sha(GREEN), GREEN, "9" * 64, again=True)
    assert desk.desk().place_made("sheet.png", sha(RED), RED, "8" * 64)
    assert desk.read("sheet.png") == RED


# ---------------------------------------------------------------- whose picture


def bought_for(desk: Desk, entry: str, key: str, data: bytes) -> None:
    """The journal says that a picture was bought for an entry."""
    with desk.cache.start_build() as build:
        intent = Intent(
            build=build.id,
            project="p",
            entry=entry,
            key=key,
            provider="dashscope",
            family="dashscope",
            account="0" * 16,
            base_url="https://example.invalid",
            model="m",
            action=short_document(ACTION),
            body=b"body",
        )
        begun = desk.cache.journal.begin(intent)
        assert isinstance(begun, Attempt)
        desk.cache.journal.ticket(begun.id, Ticket("dashscope", "https://example.invalid", task_id="t"))
        desk.cache.journal.stored(begun.id, desk.buy(data, key))


def test_the_picture_that_was_bought_for_another_entry_is_not_written_into_this_ones_file(desk: Desk) -> None:
    bought_for(desk, "b", "7" * 64, GREEN)
    desk.buy(RED)
    desk.lock["a"] = locked(GREEN)
    for item in (keyed(), files_of(OutputSpec("a.png", (SMALL,)))):
        _, files = desk.publish(item)
        assert ("which was bought for b" in str(files.failures), files.written) == (True, ())
        assert not (desk.root / "a.png").exists()
    for change in ({"accepted": {KEY: "7" * 64}}, {"key": "6" * 64}):
        desk.lock["a"] = replace(locked(GREEN), **change)
        assert desk.publish()[1].failures == (), change


def test_a_picture_of_the_lockfile_that_nobody_bought_for_another_entry_is_written(desk: Desk) -> None:
    desk.cache.put_blob(GREEN)
    desk.lock["a"] = locked(GREEN)
    assert desk.publish()[1].written == ("a.png",)
    (desk.root / "a.png").unlink()
    desk.buy(RED)
    assert desk.publish()[1].written == ("a.png",)
    (desk.root / "a.png").unlink()
    bought_for(desk, "b", "7" * 64, THEIRS)
    assert desk.publish()[1].written == ("a.png",)
    assert desk.read() == GREEN
    (desk.root / "a.png").unlink()
    desk.lock["a"] = locked(RED)
    bought_for(desk, "a", KEY, RED)
    assert desk.publish()[1].written == ("a.png",)


def test_a_foreign_picture_is_not_written_under_another_id_either_and_no_journal_is_made_to_find_out(desk: Desk) -> None:
    desk.buy(RED)
    desk.cache.put_blob(GREEN)
    desk.lock["old"] = locked(GREEN, outputs={})
    assert (desk.publish(keyed("new"))[1].written, desk.cache.has_journal()) == (("new.png",), False)
    (desk.root / "new.png").unlink()
    bought_for(desk, "b", "7" * 64, GREEN)
    assert "which was bought for b" in str(desk.publish(keyed("new"))[1].failures)


def test_a_picture_without_a_receipt_of_its_key_is_not_called_foreign(desk: Desk) -> None:
    bought_for(desk, "b", "7" * 64, GREEN)
    desk.lock["a"] = locked(GREEN)
    assert (desk.publish()[1].written, desk.read()) == (("a.png",), GREEN)


# ---------------------------------------------------------------- the lock record


def test_a_path_that_is_wanted_no_more_stays_in_the_record_as_an_orphan_unless_another_entry_wants_it(desk: Desk) -> None:
    desk.buy()
    old = {"old.png": LockOutput(), "made.png": LockOutput("7" * 64, "8" * 64), "theirs.png": LockOutput()}
    desk.lock["a"] = locked(outputs=old)
    desk.more["is_wanted"] = lambda path: path == "theirs.png"
    assert desk.publish()[0].outputs == {
        "a.png": LockOutput(),
        "old.png": LockOutput(sha(RED), "", True),
        "made.png": LockOutput("7" * 64, "8" * 64, True),
    }


def test_what_people_chose_and_wrote_stays_in_the_record(desk: Desk) -> None:
    desk.buy()
    chosen: dict[str, Any] = {"picked": KEY, "rejected": (NEXT,), "note": "mind the hands", "accepted": {"x": "y"}}
    desk.lock["a"] = locked(orphan=True, made="2026-01-02", **chosen)
    entry, _ = desk.publish()
    assert {name: getattr(entry, name) for name in chosen} == chosen
    assert (entry.orphan, entry.made) == (False, "2026-01-02")


def test_the_day_of_another_picture_is_the_receipts_and_not_the_old_ones(desk: Desk) -> None:
    desk.lock["a"] = record(BLUE, sha(GREEN), made="2026-01-02")
    desk.buy(RED, made="2026-11-22")
    assert desk.publish()[0].made == "2026-11-22"
    desk.cache.put_result(replace(result(sha(GREEN)), made="2026-11-23"))
    desk.lock["a"] = locked(made="")
    assert desk.publish()[0].made == "2026-11-22"


def test_a_held_entry_keeps_its_action_and_its_seeds(desk: Desk) -> None:
    desk.cache.put_blob(RED)
    desk.lock["a"] = record(BLUE, sha(RED), approved=True, seeds=(99,))
    entry, files = desk.publish()
    assert (entry.action, entry.key, entry.seeds) == (short_document(BLUE), action_key(BLUE), (99,))
    assert files.written == ("a.png",)


def test_an_added_seed_is_dropped_when_it_no_longer_stands_to_choice(desk: Desk) -> None:
    desk.buy(RED)
    desk.buy(GREEN, NEXT)
    desk.lock["a"] = locked(seeds=(8, 99), candidates={NEXT: sha(GREEN)}, picked=KEY)
    step = desk.step(wanted(7, 8))
    assert desk.desk().publish(replace(step, candidates=step.candidates[:2]), {})[0].seeds == (8,)


def test_the_other_candidates_are_locked_by_key_and_digest(desk: Desk) -> None:
    desk.buy(RED)
    desk.buy(GREEN, NEXT)
    entry, _ = desk.publish(wanted(7, 8))
    assert (entry.digest, entry.candidates) == (sha(RED), {NEXT: sha(GREEN)})
    desk.lock["a"] = entry
    assert desk.publish(wanted(7))[0].candidates == {NEXT: sha(GREEN)}
    desk.lock["a"] = replace(entry, picked=NEXT)
    swapped, _ = desk.publish(wanted(7, 8))
    assert (swapped.digest, swapped.candidates, desk.read()) == (sha(GREEN), {KEY: sha(RED)}, GREEN)


def test_a_candidate_that_this_build_brought_is_locked_and_one_without_a_picture_is_not(desk: Desk) -> None:
    desk.buy(RED)
    step = desk.step(wanted(7, 8, 9))
    entry, _ = desk.desk().publish(step, {NEXT: result(sha(GREEN), NEXT)})
    assert entry.candidates == {NEXT: sha(GREEN)}


def test_of_another_request_only_a_picked_picture_is_still_named(desk: Desk) -> None:
    desk.buy(RED)
    old = record(BLUE, sha(GREEN), candidates={"6" * 64: sha(THEIRS)})
    for picked, named in (("", {}), (old.key, {old.key: sha(GREEN)}), ("6" * 64, {"6" * 64: sha(THEIRS)})):
        desk.lock["a"] = replace(old, picked=picked)
        assert desk.publish()[0].candidates == named


def test_a_renamed_entry_takes_its_record_along(desk: Desk) -> None:
    desk.buy()
    desk.lock["old"] = locked(outputs={"old.png": LockOutput()}, note="mind the hands")
    entry, files = desk.publish(keyed("new"))
    assert (files.written, entry.note) == (("new.png",), "mind the hands")
    assert entry.outputs == {"new.png": LockOutput(), "old.png": LockOutput(sha(RED), "", True)}
    assert Verdict.RESTORE is desk.step(keyed("new")).verdict
