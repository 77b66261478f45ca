"""The house stays a house: imports go downhill and in no circle, and each noun, library and way of doing has one room."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import house

PACKAGE = Path(__file__).parent.parent / "qwenbuild"

FLOORS = [
    {"errors", "files", "later", "nearmiss", "lfs", "model", "plugins", "ports"},
    {"manifest", "key", "catalog"},
    {"expand", "plan", "gate", "select", "images", "checks", "resolve"},
    {"cache", "tree", "lock", "report", "stdio", "pace"},
    {"transport", "project", "snapshot"},
    {"providers", "remote"},
    {"planning", "run", "gallery"},
    {"engine"},
    {"verbs"},
    {"cli", "review", "emulator", "__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
BESIDE = {("expand", "manifest"), ("plan", "key")}

DOORS = {
    "yaml": {"manifest"},
    "jinja2": {"expand", "gallery"},
    "diskcache": {"cache"},
    "h11": {"transport"},
    "httpcore": set(),
    "httpx": {"transport"},
    "click": {"cli", "report", "__main__"},
    "rich": {"cli", "report"},
    "PIL": {"images"},
    "rapidocr": {"checks"},
    "obstore": {"remote"},
    "starlette": {"emulator", "review"},
    "uvicorn": {"emulator", "review"},
}


def modules() -> list[tuple[str, Path]]:
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]


def imports(path: Path) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
            if node.module == "qwenbuild":
                found += [(f"qwenbuild.{alias.name}", node.lineno) for alias in node.names if not alias.name.startswith("__")]
            else:
                found.append((node.module or "", node.lineno))
    return found


def test_every_module_stands_on_a_floor() -> None:
    assert {name for name, _ in modules()} - {"__init__"} <= FLOOR.keys()


def test_imports_go_downhill_only() -> None:
    uphill = []
    for name, path in modules():
        for target, line in imports(path):
            parts = target.split(".")
            if parts[0] != "qwenbuild" or len(parts) < 2 or parts[1] == name or name == "__init__":
                continue
            if FLOOR[parts[1]] > FLOOR[name]:
                uphill.append(f"{path.relative_to(PACKAGE)}:{line} imports {target}")
    assert uphill == []


def test_each_library_has_one_door() -> None:
    wrong = []
    for name, path in modules():
        for target, line in imports(path):
            door = DOORS.get(target.split(".")[0])
            if door is not None and name not in door:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {target}")
    assert wrong == []


def test_the_http_library_is_imported_in_one_line() -> None:
    """docs/libraries.md: its successor is another name in that line."""
    found = [f"{path.relative_to(PACKAGE)}" for _, path in modules() for target, _ in imports(path) if target == "httpx"]
    assert found == ["transport/library.py"]


# ---------------------------------------------------------------- one room for each thing


def test_no_modules_import_each_other_around_corners_either() -> None:
    """Imports inside functions and those for types are counted."""
    assert house.circles() == []


def test_a_class_name_means_one_thing() -> None:
    """`Remote` is the store of a team, and in the emulator's documented interface an emulator of another process."""
    assert house.doubled_classes() == {"Remote": ["qwenbuild.emulator.server", "qwenbuild.remote.store"]}


def test_no_module_is_longer_than_somebody_reads_in_one_sitting() -> None:
    assert house.long_modules() == {}


def test_imports_inside_functions_are_for_start_up_and_libraries_alone() -> None:
    assert len(house.inner_imports()) <= 60


@pytest.mark.parametrize(
    ("what", "room"),
    [(r"os\.replace\(", ["qwenbuild.files"]), (house.NEAR_MISS, ["qwenbuild.nearmiss"])],
    ids=["replacing a file", "near misses"],
)
def test_what_can_be_done_wrong_is_done_in_one_place(what: str, room: list[str]) -> None:
    assert house.holding(what) == room


def test_vendors_are_named_in_their_own_rooms_only() -> None:
    assert house.naming_vendors() == []
