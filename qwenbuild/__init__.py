"""qwenbuild: make for AI-generated images.

Knows only its own version, so that importing the package costs nothing.
"""

__version__ = "0.1.0"
