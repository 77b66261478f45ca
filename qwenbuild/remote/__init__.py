"""The shared cache: its stores, what is carried to and from them, and claims.

Knows no manifest and no plan.
"""
