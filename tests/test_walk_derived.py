"""From picture to asset: derived files cost nothing, are written only where they change, and fail by name."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.images import derive, normalise, placeholder_png
from qwenbuild.model import Action
from tests.walking import Project

ICONS = """\
version: 1
defaults: {params: {size: "512*512"}}
assets:
  icons:
    prompt: "a {{ kind }} icon, solid #00ff00 background"
    matrix: {kind: [sword, shield, potion]}
    outputs:
      - {as: icon, path: "icons/{{ kind }}.png", steps: [{key_out: {color: "#00ff00"}}, {resize: {width: 64}}]}
      - {as: web, path: "web/{{ kind }}.webp", steps: [{resize: {width: 128}}]}
  banner:
    prompt: "a banner"
"""
ALL = ["banner.png"] + [f"{folder}/{kind}.{ext}" for kind in ("potion", "shield", "sword") for folder, ext in
                        (("icons", "png"), ("web", "webp"))]  # fmt: skip


@pytest.fixture
def icons(walked: Project) -> Project:
    walked.manifest(ICONS)
    return walked


@pytest.fixture
def built(icons: Project) -> Project:
    assert icons.build().exit_code == 0
    return icons


def opened(project: Project, path: str) -> Image.Image:
    image = Image.open(project.out / path)
    image.load()
    return image


def test_several_files_are_made_from_one_bought_picture(icons: Project) -> None:
    assert icons.build().exit_code == 0
    assert sorted(icons.submitted) == ["banner", "icons/potion", "icons/shield", "icons/sword"]
    assert sorted(icons.tree()) == sorted(ALL)
    icon, web = opened(icons, "icons/sword.png"), opened(icons, "web/sword.webp")
    assert (icon.mode, icon.size, icon.getpixel((0, 0))) == ("RGBA", (64, 64), (0, 0, 0, 0))
    assert (web.format, web.size) == ("WEBP", (128, 128))


def test_an_unchanged_build_derives_and_writes_nothing(built: Project) -> None:
    assert set(built.verdicts().values()) == {"fresh"}
    assert (built.build().exit_code, built.submitted, built.written) == (0, [], [])


def test_changing_a_resize_buys_nothing_and_rewrites_only_that_assets_files(built: Project) -> None:
    before = built.tree()
    built.edit("{resize: {width: 64}}", "{resize: {width: 48}}")
    assert {id for id, verdict in built.verdicts().items() if verdict == "derive"} == {
        "icons/sword", "icons/shield", "icons/potion",
    }  # fmt: skip
    summary = built.build()
    assert (summary.exit_code, built.submitted) == (0, [])
    assert sorted(built.written) == ["icons/potion.png", "icons/shield.png", "icons/sword.png"]
    assert opened(built, "icons/sword.png").size == (48, 48)
    assert {path: digest for path, digest in built.tree().items() if not path.startswith("icons/")} == {
        path: digest for path, digest in before.items() if not path.startswith("icons/")
    }


def test_changing_a_resize_sends_no_request(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS.replace("version: 1", "version: 1\nprovider: dashscope").replace("512*512", "1328*1328"))
    walked.edit('prompt: "a {{ kind }} icon', 'model: qwen-image-plus\n    prompt: "a {{ kind }} icon')
    walked.edit('[{key_out: {color: "#00ff00"}}, {resize: {width: 64}}]', "[{resize: {width: 64}}]")
    walked.edit('  banner:\n    prompt: "a banner"\n', "")
    assert walked.build().exit_code == 0
    bought = sorted(f"a {kind} icon, solid #00ff00 background" for kind in ("sword", "shield", "potion"))
    assert sorted(emulated.prompts()) == bought
    walked.edit("{resize: {width: 64}}", "{resize: {width: 48}}")
    assert walked.build().exit_code == 0
    assert sorted(emulated.prompts()) == bought


def test_lost_files_come_back_from_the_stored_picture_byte_for_byte(built: Project) -> None:
    before, lock = built.tree(), built.lock.read_bytes()
    built.lose("outputs", "lockfile", "index")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert (built.tree(), built.lock.read_bytes()) == (before, lock)


def test_a_derived_file_that_only_moves_needs_no_picture(built: Project) -> None:
    before = built.tree()
    built.lose("cache")
    built.edit("web/{{ kind }}.webp", "w/{{ kind }}.webp")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["w/sword.webp"] == before["web/sword.webp"]


def test_the_same_steps_give_the_same_bytes_on_one_worker_and_on_eight() -> None:
    data = placeholder_png(Action("placeholder", "x", "a sword, solid #00ff00 background", "512*512", 7))
    chains = [
        ("image/png", [normalise("key_out", {"color": "#00ff00"}), normalise("resize", {"width": 128})]),
        ("image/webp", [normalise("resize", {"width": 256}), normalise("format", {"type": "webp", "quality": 80})]),
        ("image/avif", [normalise("resize", {"width": 128})]),
        ("image/jpeg", [normalise("quantize", {"colors": 16})]),
    ] * 6

    def made(chain: tuple[str, Any]) -> str:
        return hashlib.sha256(derive(data, chain[1], chain[0])).hexdigest()

    digests = []
    for workers in (1, 8):
        with ThreadPoolExecutor(workers) as pool:
            digests.append(list(pool.map(made, chains)))
    assert digests[0] == digests[1]


# ---------------------------------------------------------------- palettes and grids


def test_a_palette_counts_by_its_colours_and_not_by_its_name(built: Project) -> None:
    (built.folder / "dusk.hex").write_text("000000\nffffff\n0000ff\n")
    built.edit("{resize: {width: 128}}]", "{resize: {width: 128}}, {quantize: {palette: dusk.hex}}]")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert sorted(built.written) == ["web/potion.webp", "web/shield.webp", "web/sword.webp"]
    (built.folder / "dusk.hex").rename(built.folder / "night.hex")
    built.edit("dusk.hex", "night.hex")
    assert set(built.verdicts().values()) == {"fresh"}
    (built.folder / "night.hex").write_text("000000\nffffff\nff0000\n")
    assert built.build().exit_code == 0
    assert sorted(built.written) == ["web/potion.webp", "web/shield.webp", "web/sword.webp"]


GRID = """\
version: 1
assets:
  sheet:
    prompt: "sixteen runes in a grid"
    params: {size: "512*512"}
    outputs:
      - {as: rune, path: "runes/{cell}.png", steps: [{tile: {columns: 4, rows: 4}}, {resize: {width: 64}}]}
      - {path: "first.png", steps: [{tile: {columns: 4, rows: 4, cell: 1}}]}
"""


def test_a_grid_becomes_numbered_files_of_equal_width(walked: Project) -> None:
    walked.manifest(GRID)
    assert (walked.build().exit_code, walked.submitted) == (0, ["sheet"])
    assert sorted(walked.tree()) == ["first.png", *[f"runes/{number:02}.png" for number in range(1, 17)]]
    assert opened(walked, "runes/16.png").size == (64, 64)
    whole, first = Image.open(BytesIO(placeholder_like(walked))), opened(walked, "first.png")
    assert first.tobytes() == whole.convert(first.mode).crop((0, 0, 128, 128)).tobytes()


def placeholder_like(project: Project) -> bytes:
    (digest,) = project.cache().known_blobs()
    return project.cache().read_blob(digest)


# ---------------------------------------------------------------- what is expected

BANNER = """\
version: 1
assets:
  banner:
    prompt: "a banner"
    params: {size: "512*512"}
    expect: {size: "512*512", not_blank: true}
    outputs:
      - {path: "banner.png"}
      - {path: "thumb.png", steps: [{resize: {width: 64}}], expect: {width: 64, max_bytes: 100000}}
"""


@pytest.fixture
def banner(walked: Project) -> Project:
    walked.manifest(BANNER)
    return walked


def test_a_picture_that_is_what_is_expected_is_built_and_judged_once(banner: Project) -> None:
    assert banner.build().exit_code == 0
    assert sorted(banner.tree()) == ["banner.png", "thumb.png"]
    assert banner.verdicts() == {"banner": "fresh"}


def test_a_picture_that_fails_is_an_outcome_that_stays_in_the_cache_and_is_not_paid_for_again(banner: Project) -> None:
    banner.edit('expect: {size: "512*512", not_blank: true}', "expect: {mode: RGBA}")
    for builds in range(2):
        summary = banner.build()
        assert (summary.exit_code, summary.counts) == (1, {"failed": 1})
        assert summary.failures == (("banner", summary.failures[0][1], summary.failures[0][2]),)
        assert "mode is RGB, expected RGBA" in summary.failures[0][2]
        assert banner.submitted == ([] if builds else ["banner"])
    assert banner.tree() == {}
    assert banner.verdicts() == {"banner": "failed"}
    assert len(banner.cache().known_blobs()) == 1
    banner.edit("expect: {mode: RGBA}", "expect: {mode: RGB}")
    assert (banner.build().exit_code, banner.submitted) == (0, [])
    assert sorted(banner.tree()) == ["banner.png", "thumb.png"]


def test_a_failing_picture_is_bought_again_when_asked(banner: Project) -> None:
    banner.edit('expect: {size: "512*512", not_blank: true}', "expect: {mode: RGBA}")
    banner.build()
    assert banner.build(retry_failed=True).exit_code == 1
    assert banner.submitted == ["banner"]


def test_a_new_expectation_is_held_against_a_picture_that_is_there(banner: Project) -> None:
    assert banner.build().exit_code == 0
    before = banner.tree()
    banner.edit('expect: {size: "512*512", not_blank: true}', "expect: {mode: RGBA}")
    assert (banner.build().exit_code, banner.submitted, banner.tree()) == (1, [], before)
    banner.edit("expect: {mode: RGBA}", "expect: {mode: RGB}")
    assert banner.verdicts() == {"banner": "restore"}
    assert (banner.build().exit_code, banner.written) == (0, [])
    assert banner.verdicts() == {"banner": "fresh"}


def test_a_file_that_fails_is_not_written_and_named_while_its_siblings_are(banner: Project) -> None:
    banner.edit("expect: {width: 64, max_bytes: 100000}", "expect: {max_bytes: 100}")
    for _ in range(2):
        summary = banner.build()
        assert (summary.exit_code, sorted(banner.tree())) == (1, ["banner.png"])
        ((id, _, message),) = summary.failures
        assert id == "banner"
        assert message.startswith("thumb.png: it is ")
        assert message.endswith("bytes, expected at most 100")
    assert banner.verdicts() == {"banner": "failed"}
    banner.edit("expect: {max_bytes: 100}", "expect: {max_bytes: 100000}")
    assert (banner.build().exit_code, banner.submitted) == (0, [])
    assert sorted(banner.tree()) == ["banner.png", "thumb.png"]


def test_a_painted_background_that_is_not_the_key_fails_the_file_and_keeps_the_picture(banner: Project) -> None:
    banner.edit("steps: [{resize: {width: 64}}]", 'steps: [{key_out: {color: "#ff00ff"}}]')
    summary = banner.build()
    assert summary.exit_code == 1
    assert "is its background really #ff00ff?" in summary.failures[0][2]
    assert (sorted(banner.tree()), len(banner.cache().known_blobs())) == (["banner.png"], 1)


# ---------------------------------------------------------------- bad input

STEPS = [
    ("{resice: {width: 64}}", "there is no step", "{resice"),
    ("{resize: {widht: 64}}", "did you mean 'width'", "64"),
    ("{resize: {width: -4}}", "from 1 to 16383, got -4", "-4"),
    ("{resize: {width: 64, fit: stretch}}", "must be one of cover, contain, fill, inside", "stretch"),
    ("{resize: {}}", "resize needs width, height or both", "{}"),
    ("{crop: {ratio: wide}}", "must be a ratio such as 16:9", "wide"),
    ("{crop: {box: [0, 0, 600, 600]}}", "leaves the picture, which is 512x512", "{box"),
    ("{pad: {width: 100, height: 100}}", "the picture is already 512x512", "{width: 100"),
    ("{round: {radius: 300}}", "more than half of the shorter side", "{radius"),
    ("{rotate: sideways}", "must be a number from -360 to 360", "sideways"),
    ("{flip: both}", "must be one of horizontal, vertical", "both"),
    ("{key_out: {color: green}}", "must be a colour such as", "green"),
    ("{key_out: {color: '#0f0', alpha: {min: 2}}}", "must be a number from 0 to 1", "{min"),
    ("{quantize: {colors: 999}}", "from 2 to 256", "999"),
    ("{quantize: {palette: none.hex}}", "there is no file `none.hex`", "none.hex"),
    ("{quantize: {palette: notes.txt}}", "this is not a palette", "notes.txt"),
    ("{quantize: {palette: ../dusk.hex}}", "leads out of the manifest's folder", "../dusk.hex"),
    ("{tile: {columns: 3, rows: 3, cell: 1}}", "do not divide a picture of 512x512", "{columns"),
    ("{tile: {columns: 2, rows: 2, cell: 9}}", "from 1 to 4", "9"),
    ("{tile: {columns: 2, rows: 2}}", "the path needs {cell}", "a.png"),
    ("{format: {type: tiff}}", "must be one of png, webp, avif, jpeg", "tiff"),
    ("{format: {type: webp}}", "the steps make a webp, and the file is `a.png`", "a.png"),
    ("{format: {type: webp, quality: 0}}", "from 1 to 100", "0}"),
    ("{trim: 999}", "from 0 to 255", "999"),
]


@pytest.mark.parametrize(("step", "message", "where"), STEPS, ids=[row[0] for row in STEPS])
def test_a_bad_step_is_a_named_error_with_line_and_column_before_anything_is_spent(
    walked: Project, step: str, message: str, where: str
) -> None:
    (walked.folder / "notes.txt").write_text("not a palette\n")
    (walked.folder.parent / "dusk.hex").write_text("000000\nffffff\n")
    walked.manifest(
        f'version: 1\nassets:\n  a:\n    prompt: "x"\n    params: {{size: "512*512"}}\n'
        f"    output: a.png\n    steps:\n      - {step}\n"
    )
    with pytest.raises(InputError) as caught:
        walked.build()
    (problem,) = caught.value.problems
    assert message in f"{problem.message} {problem.hint}"
    lines = (walked.folder / "qwenbuild.yaml").read_text().splitlines()
    assert problem.mark is not None
    assert lines[problem.mark.line - 1][problem.mark.column - 1 :].startswith(where)
    assert not walked.cache_dir.exists() or list(walked.cache_dir.iterdir()) == []


EXPECTATIONS = [
    ("{widht: 64}", "did you mean 'width'", "64"),
    ("{size: big}", "must be W*H in pixels", "big"),
    ("{alpha: {min: 0.9, max: 0.1}}", "min 0.9 is greater than max 0.1", "{min"),
    ("{mode: CMYK}", "must be one of L, LA, RGB, RGBA", "CMYK"),
    ("{max_bytes: lots}", "must be a whole number", "lots"),
]


@pytest.mark.parametrize(("expect", "message", "where"), EXPECTATIONS, ids=[row[0] for row in EXPECTATIONS])
def test_a_bad_expectation_is_a_named_error_with_line_and_column(
    walked: Project, expect: str, message: str, where: str
) -> None:
    walked.manifest(f'version: 1\nassets:\n  a:\n    prompt: "x"\n    expect: {expect}\n')
    with pytest.raises(InputError) as caught:
        walked.build()
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.mark is not None
    line = (walked.folder / "qwenbuild.yaml").read_text().splitlines()[problem.mark.line - 1]
    assert line[problem.mark.column - 1 :].startswith(where)
