"""Marks of origin through the walk: found, told, carried over, written, and never into a signed file."""

from __future__ import annotations

import csv
import io
import json
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.cli.exits import run
from qwenbuild.images import Marks, find_marks, placeholder_png, write_marks
from qwenbuild.key import action_key
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import LockAtlas, LockOutput
from qwenbuild.report.disclosure import as_csv, as_json, as_markdown, disclosed
from qwenbuild.verbs.explanation import explain
from tests.walking import Project

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MANIFEST = """\
version: 1
provenance: {provenance}
assets:
  banner:
    prompt: "a banner"
    params: {{size: "256*256"}}
    outputs:
      - {{path: "banner.png"}}
      - {{path: "thumb.png", steps: [{{resize: {{width: 64}}}}]}}
      - {{path: "thumb.webp", steps: [{{resize: {{width: 64}}}}]}}
      - {{path: "thumb.jpg", steps: [{{resize: {{width: 64}}}}]}}
      - {{path: "thumb.avif", steps: [{{resize: {{width: 64}}}}]}}
"""
FILES = ["banner.png", "thumb.avif", "thumb.jpg", "thumb.png", "thumb.webp"]


def marked(walked: Project, provenance: str) -> Project:
    walked.manifest(MANIFEST.format(provenance=provenance))
    return walked


def signed_png(data: bytes) -> bytes:
    """The picture with a C2PA chunk, as a provider puts it in."""
    body = b"\0\0\0\x10jumb" + b"signature"
    piece = struct.pack(">I", len(body)) + b"caBX" + body + struct.pack(">I", zlib.crc32(b"caBX" + body))
    return data[:33] + piece + data[33:]


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The placeholder as a provider that signs and labels its pictures."""
    label = Marks(source_type=False, label='{"Label": "1"}')
    monkeypatch.setattr(
        "qwenbuild.providers.placeholder.placeholder_png",
        lambda action: signed_png(write_marks(placeholder_png(action), label)),
    )


def kinds(project: Project, path: str) -> list[str]:
    return [mark.kind for mark in find_marks((project.out / path).read_bytes())]


def test_off_adds_nothing(walked: Project) -> None:
    assert marked(walked, "off").build().exit_code == 0
    assert {path: kinds(walked, path) for path in FILES} == {path: [] for path in FILES}


def test_marks_are_an_implied_last_step_of_every_file_and_cost_nothing(walked: Project) -> None:
    marked(walked, "off").build()
    marked(walked, "marks")
    assert (walked.build().exit_code, walked.submitted, sorted(walked.written)) == (0, [], FILES)
    assert {path: kinds(walked, path) for path in FILES} == {path: ["source-type"] for path in FILES}
    assert walked.verdicts() == {"banner": "fresh"}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is the independent reader")
def test_exiftool_reads_the_full_provenance(walked: Project) -> None:
    marked(walked, "full").build()
    words = ["exiftool", "-json", "-XMP:all", *(str(walked.out / path) for path in FILES)]
    records = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    (entry,) = lockfile.read(walked.lock).entries.values()
    for record in records:
        assert record["DigitalSourceType"] == TRAINED, Path(record["SourceFile"]).name
        assert record["Model"] == "placeholder"
        assert record["Key"] == entry.key


def test_what_a_provider_put_in_is_told_by_explain_and_its_loss_named(walked: Project, signing: None) -> None:
    summary = marked(walked, "off").build()
    assert summary.exit_code == 0
    (notice,) = [problem for problem in summary.problems if problem.code == "marks-lost"]
    assert notice.message.startswith("4 files made from signed pictures cannot carry their signature (C2PA): thumb.")
    assert kinds(walked, "banner.png") == ["c2pa", "aigc"]
    assert {path: kinds(walked, path) for path in FILES[1:]} == {path: ["aigc"] for path in FILES[1:]}
    said = explain(walked.options(), "banner").facts["marks"]
    assert [mark.partition(":")[0] for mark in said] == ["c2pa", "aigc"]


def test_the_plan_names_the_files_that_will_lose_a_signature(walked: Project, signing: None) -> None:
    marked(walked, "off").build()
    assert [problem.code for problem in walked.plan().plan.notices] == []
    walked.edit('{path: "thumb.png", steps: [{resize: {width: 64}}]}', '{path: "thumb.png", steps: [{resize: {width: 65}}]}')
    (notice,) = walked.plan().plan.notices
    assert "1 file made from signed pictures" in notice.message
    assert "thumb.png" in notice.message


def test_a_signed_file_is_never_marked(walked: Project, signing: None) -> None:
    assert marked(walked, "full").build().exit_code == 0
    assert kinds(walked, "banner.png") == ["c2pa", "aigc"]
    assert sorted(kinds(walked, "thumb.png")) == ["aigc", "source-type"]
    assert walked.verdicts() == {"banner": "fresh"}


def test_the_disclosure_lists_every_file_that_ships_from_the_lockfile_alone(walked: Project) -> None:
    marked(walked, "off").build()
    lock = lockfile.read(walked.lock)
    rows = disclosed(lock.entries, lock.atlases, lambda family, model: f"licence of {model}", lambda family: True)
    assert [row.path for row in rows] == FILES
    assert {row.path: row.digest for row in rows} == walked.tree()
    assert {(row.model, row.licence) for row in rows} == {("placeholder", "licence of placeholder")}
    assert [row["path"] for row in csv.DictReader(io.StringIO(as_csv(rows)))] == FILES
    assert [file["path"] for file in as_json(rows)["files"]] == FILES
    assert sum(line.startswith("| ") for line in as_markdown(rows)) == len(FILES) + 1


def test_nothing_is_disclosed_of_a_family_whose_pictures_no_model_makes(
    walked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Family by family, by the catalogue's own column; of a family that it does not know a model is assumed."""
    marked(walked, "off").build()
    lock = lockfile.read(walked.lock)
    families = Catalog.load({}).families
    for family in [*families, "a-family-of-tomorrow"]:
        entries = {
            id: replace(entry, action={**entry.action, "family": family, "model": "m"}) for id, entry in lock.entries.items()
        }
        atlases = {"ui": LockAtlas({"ui.png": LockOutput("d" * 64, "e" * 64)})}
        walked.lock.write_bytes(layout.text(entries, "qwenbuild.yaml", atlases))
        capsys.readouterr()
        assert run(["-C", str(walked.folder), "disclose", "--json"]) == 0
        listed = capsys.readouterr().out
        expected = [] if family in families and not families[family].generative else sorted([*FILES, "ui.png"])
        assert [row["path"] for row in json.loads(listed)["files"]] == expected, family
    assert [name for name, family in families.items() if not family.generative] == ["placeholder"]


def test_full_provenance_names_the_very_key(walked: Project) -> None:
    marked(walked, "full").build()
    (step,) = walked.plan().plan.steps
    assert action_key(step.candidates[0].candidate.action).encode() in (walked.out / "thumb.png").read_bytes()
