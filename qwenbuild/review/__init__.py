"""The review: the gallery's page on loopback, where people choose and the lockfile is written.

Knows no rule about choices or money: the walk's own verbs and its gate decide.
"""

from qwenbuild.review.server import ServedReview, review, serve

__all__ = ["ServedReview", "review", "serve"]
