from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from qwenbuild.checks.expectation import BUILT_IN
from qwenbuild.checks.local import CHECKS
from qwenbuild.images import check, normalise, step_schemas
from qwenbuild.images.atlas import check_options

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "steps.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)\n", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


@pytest.mark.parametrize("kind", step_schemas())
def test_every_step_is_documented_with_its_arguments_and_a_small_picture(kind: str) -> None:
    section = SECTIONS[kind]
    for name in step_schemas()[kind]["properties"]:
        assert f"| `{name}` |" in section
    picture = DOCS / "pictures" / f"{kind}.png"
    assert f"](pictures/{kind}.png)" in section
    assert picture.stat().st_size < 20_000
    check(picture.read_bytes(), None, {"image/png"})


@pytest.mark.parametrize("kind", step_schemas())
def test_every_example_of_a_step_is_right(kind: str) -> None:
    (example,) = re.findall(r"```yaml\n(steps:.*?)```", SECTIONS[kind], flags=re.DOTALL)
    for written in yaml.safe_load(example)["steps"]:
        ((name, args),) = written.items()
        assert normalise(name, args).kind == kind


def test_the_options_of_an_atlas_and_of_an_expectation_are_documented() -> None:
    for name in check_options({}):
        assert f"| `{name}` |" in SECTIONS["Atlases"]
    page = (DOCS / "checks.md").read_text(encoding="utf-8")
    assert [name for name in BUILT_IN if f"`{name}`" not in page] == []
    arguments = {name for check in CHECKS.values() for name in check.arguments}
    assert [name for name in arguments if f"`{name}`" not in page] == []
    assert (DOCS / "pictures" / "atlas.webp").stat().st_size < 20_000
