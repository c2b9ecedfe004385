"""The version of this package; a file of its own, which every process may import."""

__version__ = "0.1.0"
