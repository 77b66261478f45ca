"""Installs the plug-in into a folder, as pip would with its pyproject.toml, and runs things with that folder on the path.

Writes the metadata by hand: no build backend is needed, and none is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def install(folder: Path, *, version: str = "", name: str = "", points: Mapping[str, Mapping[str, str]] | None = None) -> Path:
    """The plug-in in `folder`, perhaps as another version, under another name, or with other entry points."""
    project: dict[str, Any] = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = name or project["name"], version or project["version"]
    uninstall(folder, name)
    for package in ("sketch", "paid"):
        shutil.copytree(HERE / package, folder / package, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = project["entry-points"] if points is None else points
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items()) for group, each in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def uninstall(folder: Path, name: str) -> None:
    """Without the metadata of any version."""
    for info in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(info)


def environment(plugins: Path, cache: Path) -> dict[str, str]:
    """The environment in which the folder's plug-ins are installed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QWENBUILD_")}
    return kept | {"PYTHONPATH": os.pathsep.join((str(plugins), str(ROOT))), "QWENBUILD_CACHE_DIR": str(cache)}


def run(words: list[str], cwd: Path, env: Mapping[str, str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Python with these words, ended."""
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=timeout, check=False
    )
