"""The version, in one place: the build and the package front both read it."""

__version__ = "0.2.0"
