"""The lockfile as a value: read and written, what choices make of its records, how two of them differ.

Knows no cache and no plan of a build.
"""
