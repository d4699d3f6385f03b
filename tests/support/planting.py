"""Changing the program while it runs: functions of a module get the bytecode of another text of it, and lose it again.

Whoever imported a function keeps the same object, so an edit takes effect everywhere. What stands outside of functions
is out of reach: an edit that changes no function is an error.
"""

from __future__ import annotations

import ast
import importlib
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class NotPlanted(LookupError):
    """The text that an edit replaces isn't there once, or the edit changes no function."""


def source_of(module: str) -> str:
    path = importlib.import_module(module).__file__
    assert path is not None
    return Path(path).read_text()


def edited(module: str, old: str, new: str) -> str:
    """The module's text with one place changed."""
    text = source_of(module)
    if text.count(old) != 1:
        raise NotPlanted(f"{module}: {text.count(old)} places have {old!r}")
    return text.replace(old, new)


@contextmanager
def planted(module: str, text: str | ast.Module) -> Iterator[None]:
    """The functions of a module run another text's code while the context lasts."""
    loaded = importlib.import_module(module)
    other = types.ModuleType(module)
    other.__dict__.update(__file__=loaded.__file__, __package__=loaded.__package__)
    exec(compile(text, loaded.__file__ or module, "exec"), other.__dict__)
    changed = list(_changed(loaded.__dict__, other.__dict__, module))
    if not changed:
        raise NotPlanted(f"{module}: no function is changed")
    before = [(function, function.__code__, function.__defaults__, function.__kwdefaults__) for function, _ in changed]
    try:
        for function, new in changed:
            function.__code__, function.__defaults__ = new.__code__, new.__defaults__
            function.__kwdefaults__ = new.__kwdefaults__
        yield
    finally:
        for function, code, defaults, keywords in before:
            function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, keywords


def _changed(
    have: dict[str, Any], want: dict[str, Any], module: str
) -> Iterator[tuple[types.FunctionType, types.FunctionType]]:
    """(function, its other self) of functions and methods that differ."""
    for name, thing in list(have.items()):
        new = want.get(name)
        if isinstance(thing, type) and isinstance(new, type) and thing.__module__ == module:
            yield from _changed(dict(vars(thing)), dict(vars(new)), module)
            continue
        old_function, new_function = _function(thing), _function(new)
        if old_function is None or new_function is None or old_function.__module__ != module:
            continue
        if len(old_function.__code__.co_freevars) != len(new_function.__code__.co_freevars):
            continue
        if old_function.__code__ != new_function.__code__ or old_function.__defaults__ != new_function.__defaults__:
            yield old_function, new_function


def _function(thing: Any) -> types.FunctionType | None:
    if isinstance(thing, property):
        thing = thing.fget
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    return thing if isinstance(thing, types.FunctionType) else None
