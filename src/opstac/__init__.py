"""Composition: puts the packages together. Holds no behaviour of its own."""

__version__ = "0.1.0"
