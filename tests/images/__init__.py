"""Tests of checking, drawing, deriving, marking and packing pictures."""
