"""When the next request may leave, when it is tried again, and by whose clock.

Knows no vendor and no connection.
"""
