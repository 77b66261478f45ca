"""The fake walk and the call of a command line, as fixtures for the tests of the command line; knows nothing else."""

from fakewalk import call, walk

__all__ = ["call", "walk"]
