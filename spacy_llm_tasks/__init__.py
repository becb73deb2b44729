"""A Transformer of our own for spaCy: five tasks read off one shared encoder pass."""

__version__ = "0.1.0"
