"""What is done to a cache now and then: checked, repaired, collected, and paid bytes brought home.

Knows no build.
"""
