"""The remembered state of the last build: how it is written and read, and the answer that needs nothing else.

Knows no manifest and no plan.
"""
