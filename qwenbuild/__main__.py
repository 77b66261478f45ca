"""Where the program starts and ends: the quick answer first, then the command line.

Knows neither; nothing heavy is imported before the quick answer has been tried.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Ends the process with the command's exit code."""
    from qwenbuild.recall import answer

    try:
        code = answer(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    if code is not None:
        sys.exit(code)
    from qwenbuild.cli.ending import leave, run

    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
