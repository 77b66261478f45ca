"""A project: by what it is known, and the keys that stand beside its manifest.

Knows no plan.
"""
