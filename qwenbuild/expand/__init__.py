"""Turns a manifest into entries: rows and axes multiplied, templates rendered, ids and paths checked.

Knows no key, no price and no network; besides the manifest's own folder it reads nothing.
"""
