"""The command line: it parses, calls one function of the walk, and returns a number.

Knows no rule of the walk; modules here import click only, everything else inside the commands, so that help is instant.
"""
