"""One file a verb; the registry in `qwenbuild.cli.group` names them.

Knows nothing of its own.
"""
