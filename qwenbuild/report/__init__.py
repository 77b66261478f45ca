"""Words, tables and progress for people, and JSON for machines: how a plan, a run and a fault are shown.

Knows values only: it reads no file, decides nothing, and does not know which command it serves.
"""
