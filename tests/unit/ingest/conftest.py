"""The instance to which the tests of this folder deliver files."""

from inbox import instance, make_source

__all__ = ["instance", "make_source"]
