"""Where the program starts and ends: the quick answer first, then the command line.

Knows neither; nothing heavy is imported before the quick answer has been tried, and nothing from the current folder ever.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # `python -m` put the current folder there: a project's yaml.py would be run


def main() -> None:
    """The console script. Ends the process with the command's exit code."""
    from qwenbuild.snapshot.quick_answer import answer
    from qwenbuild.stdio import finish, prepare

    prepare()
    try:
        code = answer(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except UnicodeEncodeError:  # a name that this system cannot write: the walk has the words
        code = None
    if code is not None:
        sys.exit(finish(code))
    import gc

    gc.set_threshold(200_000, 20, 20)  # little of what start-up and a plan make is garbage
    from qwenbuild.cli.exits import leave, run

    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
