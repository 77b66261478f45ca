"""Facts, plans and what is read for them: all that is free, from the manifest to a plan.

Knows no run: nothing here writes, and nothing is sent to a provider.
"""
