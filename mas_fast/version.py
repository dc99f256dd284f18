"""The version of the package, by itself so that anything can read it."""

__version__ = "0.2.0"
