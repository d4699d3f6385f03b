"""Mutants of a module: one small change each, of the kinds that tests are most often blind to."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Change = tuple[Callable[[], object], str]
"""What makes a change of a tree, and its description."""
_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
_CALLED = {"min": "max", "max": "min", "add": "subtract", "subtract": "add", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """The change that `what` describes, in a statement of a module; `place` and `number` find it again.

    `lines` are those of the statement, without those of the statements in it.
    """

    module: str
    line: int
    what: str
    lines: range
    place: int
    number: int

    def tree(self, text: str) -> ast.Module:
        """The module with the change."""
        whole = ast.parse(text)
        node, _ = list(_places(whole))[self.place]
        change, _ = list(_changes(node))[self.number]
        change()
        return ast.fix_missing_locations(whole)


def mutants(module: str, text: str) -> list[Mutant]:
    """All of them, in the order of the text; only code in functions is changed."""
    return [
        Mutant(module, getattr(node, "lineno", lines[0]), what, lines, place, number)
        for place, (node, lines) in enumerate(_places(ast.parse(text)))
        for number, (_, what) in enumerate(_changes(node))
    ]


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, range]]:
    """Nodes in functions with the lines of their statements, but for docstrings, annotations and what an error says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield from _below(statement, range(0))


def _below(node: ast.AST, lines: range) -> Iterator[tuple[ast.AST, range]]:
    if isinstance(node, ast.stmt):
        lines = _own_lines(node)
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if docstring or isinstance(node, ast.FunctionDef | ast.Raise | ast.JoinedStr | ast.AnnAssign):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _below(node.value, lines)
        return
    yield node, lines
    for child in ast.iter_child_nodes(node):
        yield from _below(child, lines)


def _own_lines(statement: ast.stmt) -> range:
    body = getattr(statement, "body", None)
    end = body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1
    return range(statement.lineno, max(end, statement.lineno + 1))


def _changes(node: ast.AST) -> Iterator[Change]:
    """Each change of one node."""
    for kind, changes in _OF_KIND:
        if isinstance(node, kind):
            yield from changes(node)


def _binary(node: ast.BinOp | ast.AugAssign) -> Iterator[Change]:
    other = _COMPUTED.get(type(node.op))
    if other is not None:
        yield (lambda: setattr(node, "op", other())), f"{_name(node.op)} -> {other.__name__}"


def _logical(node: ast.BoolOp) -> Iterator[Change]:
    swapped = ast.Or if isinstance(node.op, ast.And) else ast.And
    yield (lambda: setattr(node, "op", swapped())), f"{_name(node.op)} -> {swapped.__name__}"


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield (lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand))), "not removed"
    elif isinstance(node.op, ast.USub):
        yield (lambda: setattr(node, "op", ast.UAdd())), "sign removed"


def _returned(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield (lambda: setattr(node, "value", ast.Constant(None))), "return None"


def _condition(node: ast.If | ast.IfExp | ast.While) -> Iterator[Change]:
    yield (lambda: setattr(node, "test", ast.Constant(False))), "condition -> False"
    if not isinstance(node, ast.While):
        yield (lambda: setattr(node, "test", ast.Constant(True))), "condition -> True"


def _filtered(node: ast.comprehension) -> Iterator[Change]:
    if node.ifs:
        yield (lambda: setattr(node, "ifs", [])), "filter removed"


def _compared(node: ast.Compare) -> Iterator[Change]:
    for place, op in enumerate(node.ops):
        for other in _COMPARED[type(op)]:

            def change(place: int = place, other: type[ast.cmpop] = other) -> None:
                node.ops[place] = other()

            yield change, f"{_name(op)} -> {other.__name__}"


def _constants(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield (lambda: setattr(node, "value", not value)), f"{value} -> {not value}"
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield (lambda other=other: setattr(node, "value", other)), f"{value} -> {other}"  # type: ignore[misc]
    elif isinstance(value, str) and value:
        yield (lambda: setattr(node, "value", value + "?")), f"{value!r} -> {value + '?'!r}"


def _calls(node: ast.Call) -> Iterator[Change]:
    """min and max, add and subtract change places; a function of one argument is left out."""
    target = node.func
    name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
    if name in _CALLED:
        field = "id" if isinstance(target, ast.Name) else "attr"
        yield (lambda: setattr(target, field, _CALLED[name])), f"{name} -> {_CALLED[name]}"


def _name(node: ast.AST) -> str:
    return type(node).__name__


_OF_KIND: tuple[tuple[Any, Callable[[Any], Iterator[Change]]], ...] = (
    (ast.Compare, _compared),
    (ast.BinOp | ast.AugAssign, _binary),
    (ast.BoolOp, _logical),
    (ast.UnaryOp, _unary),
    (ast.Constant, _constants),
    (ast.Call, _calls),
    (ast.Return, _returned),
    (ast.If | ast.IfExp | ast.While, _condition),
    (ast.comprehension, _filtered),
)
