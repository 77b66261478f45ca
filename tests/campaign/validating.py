"""Runs `qwenbuild validate` on every manifest of a folder in this one process, which may hold 1 GB; prints JSON.

Name to [seconds of processor time, exit code, what was said]. Knows nothing of what is in the manifests.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
from pathlib import Path

GIGABYTE = 1 << 30


def main(folder: Path) -> None:
    import qwenbuild.expand
    import qwenbuild.manifest  # noqa: F401 - imported before the clock runs
    from qwenbuild.cli.exits import run

    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTE, GIGABYTE))
    found = {}
    for project in sorted(folder.iterdir()):
        os.chdir(project)
        said = io.StringIO()
        started = time.process_time()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(["validate"])
        found[project.name] = (time.process_time() - started, code, said.getvalue()[-2000:])
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
