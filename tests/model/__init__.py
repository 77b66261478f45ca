"""Builds through a real diffusers pipeline; not part of CI, because it needs torch."""
