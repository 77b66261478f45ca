"""The walk that pays, and what it needs: its context, what is checked before, what is written after.

Knows no command line.
"""
