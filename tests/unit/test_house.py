"""The house rules, as checks that fail: style, types, import directions, and what must never stand in the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.catalog.schema import schemas
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.page import EXAMPLES, page
from orchestration.metering.compile import NUMBER_FIELDS, TEXT_FIELDS

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PYTHON = sorted((ROOT / "orchestration").rglob("*.py"))
MODELS = sorted((ROOT / "dbt_project" / "models").rglob("*.sql"))
NO_MONEY = {
    "assets": "figures of a run: seconds and shares",
    "example": "the generator of an example's traffic",
    "ingest": "text of files; a number of JSON is told apart from a decimal by its type",
    "monitoring": "what is watched is no money: rates, waits and how unlikely they are",
    "pipeline/forecast.py": "a forecast is no money: what it says is billed nowhere",
    "pipeline/watched.py": "what is watched is no money, and billed nowhere",
    "pipeline/watching.py": "the same",
    "pipeline/watchtables.py": "the same",
    "pipeline/unusual.py": "the same",
    "pipeline/single.py": "the same",
}
"""Where a float may be, and why. All other code is in the way of money or of quantities, or may come to be."""


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
        ["sqlfmt", "--check", "--quiet", "dbt_project"],
        ["mypy"],
    ],
    ids=lambda command: " ".join(command),
)
def test_linters_find_nothing(command: list[str]) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def _functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(n.name, (n.end_lineno or 0) - n.lineno + 1) for n in ast.walk(tree) if isinstance(n, kinds)]


def test_functions_and_modules_stay_small_enough_to_read() -> None:
    long_functions = [f"{p.relative_to(ROOT)}:{name} has {n}" for p in PYTHON for name, n in _functions(p) if n > 50]
    long_modules = [f"{p.relative_to(ROOT)} has {n}" for p in PYTHON if (n := len(p.read_text().splitlines())) > 350]
    assert not long_functions + long_modules


def test_every_model_says_its_grain_and_fits_on_two_screens() -> None:
    assert MODELS
    for path in MODELS:
        text = path.read_text()
        assert text.startswith("-- Grain: "), f"{path.name} does not begin with its grain"
        assert len(text.splitlines()) < 100, f"{path.name} is too long"


def test_money_and_quantity_never_pass_through_a_float() -> None:
    found = []
    for path in PYTHON:
        place = path.relative_to(ROOT / "orchestration")
        if place.parts[0] in NO_MONEY or place.as_posix() in NO_MONEY:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_name = isinstance(node, ast.Name) and node.id == "float"
            is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            is_math = isinstance(node, ast.ImportFrom) and node.module in ("math", "statistics")
            inexact = is_math and {alias.name for alias in node.names} - {"lcm", "gcd", "ceil", "floor"}
            is_import = isinstance(node, ast.Import) and {a.name for a in node.names} & {"math", "statistics", "numpy"}
            if is_name or is_literal or inexact or is_import or _divides_whole_numbers(node):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def _divides_whole_numbers(node: ast.AST) -> bool:
    """`/` between plain numbers gives a float: one side is a Fraction, a path, or text that is a path."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
        return False
    sides = (node.left, node.right)
    return any(isinstance(n, ast.Constant) and isinstance(n.value, int) for n in sides) and not any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "Fraction"
        for side in sides
        for n in ast.walk(side)
    )


EFFECTS = {
    *("symlink_to", "hardlink_to", "rename", "unlink", "rmdir", "write_text", "write_bytes"),
    *("rmtree", "copyfile", "copytree", "fsync", "fdatasync", "commit", "executescript"),
}
OF_MODULES = {*EFFECTS, "replace", "renames", "link", "symlink", "remove", "truncate", "move", "copy", "copy2"}
PASSING = {
    "orchestration/durable.py": (3, "steps themselves"),
    "orchestration/example/files.py": (2, "the input of an example, which is no record"),
    "orchestration/example/partner.py": (1, "the same"),
    "orchestration/demo.py": (1, "the same: a demo copies its catalog once, before anything else"),
    "orchestration/catalog/schema.py": (1, "a page of the program, for whoever develops it"),
    "orchestration/ingest/formats/page.py": (1, "the same"),
    "orchestration/automation/manifest.py": (2, "the same"),
    "orchestration/pipeline/project.py": (
        3,
        "what dbt makes of its text: kept in the program's folder, made again if lost",
    ),
    "orchestration/assets/progress.py": (2, "a note beside an open build: one that was broken off is begun again"),
    "orchestration/assets/build.py": (1, "an open build: nothing reads one that was broken off"),
    "orchestration/pipeline/run.py": (1, "the same"),
    "orchestration/pipeline/simulate.py": (3, "a folder of a trial"),
    "orchestration/pipeline/issued.py": (1, "a transaction of an open build"),
    "orchestration/pipeline/rated.py": (2, "the same, and a scratch file"),
    "orchestration/pipeline/rating.py": (1, "a scratch file"),
    "orchestration/exports/tables.py": (1, "a scratch file"),
    "orchestration/pipeline/evidence.py": (1, "a scratch folder"),
    "orchestration/engine.py": (1, "rows on their way into a table"),
    "orchestration/ledger/seals.py": (1, "an empty ledger in memory, to compare with"),
    "orchestration/ingest/erase.py": (
        1,
        "how far the lake has been looked through: if lost, it is looked through again",
    ),
    "orchestration/ingest/erase_write.py": (6, "a scratch folder, and what is removed within the step that calls it"),
    "orchestration/audit/evidence.py": (1, "a scratch folder"),
    "orchestration/audit/recompute.py": (2, "a scratch folder"),
    "orchestration/audit/prove.py": (5, "a bundle that has no name yet"),
    "orchestration/ingest/parse.py": (2, "a text put aside for the engine to read"),
    "orchestration/ingest/written.py": (1, "a file of a batch that is being made"),
    "orchestration/ingest/extract.py": (2, "a scratch folder"),
    "orchestration/ingest/raw.py": (4, "a file that has no name yet, or is lent for a while"),
}
"""Where, and how often, something is written or removed outside of a step, and why no kill can be felt there."""


def test_whatever_outlives_the_process_is_a_named_step() -> None:
    """Files are renamed, linked, removed and committed inside `with step(Point...)` or by what takes a point."""
    found = {path.relative_to(ROOT).as_posix(): _effects(ast.parse(path.read_text()), inside=False) for path in PYTHON}
    outside = {name: len(lines) for name, lines in found.items() if lines}
    assert outside == {name: number for name, (number, _) in PASSING.items()}, found


def test_the_rule_of_steps_finds_what_it_is_for() -> None:
    for bad in ("a.rename(b)", "os.fsync(f)", "a.replace(b)", "db.execute('COMMIT')", "db.commit()", "a.unlink()"):
        assert _effects(ast.parse(bad), inside=False) == [1]
        assert _effects(ast.parse(f"with step(Point.X):\n    {bad}"), inside=False) == []
    for good in ("'a'.replace('b', 'c')", "day.replace(day=1)", "with step():\n    pass"):
        assert _effects(ast.parse(good), inside=False) == []


def _effects(node: ast.AST, *, inside: bool) -> list[int]:
    """Lines of calls that change what is on the disk and stand in no `with step(...)`."""
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        inside = inside or any(isinstance(c.func, ast.Name) and c.func.id == "step" and c.args for c in calls)
    own = [node.lineno] if not inside and isinstance(node, ast.Call) and _is_effect(node) else []
    return own + [line for child in ast.iter_child_nodes(node) for line in _effects(child, inside=inside)]


def _is_effect(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    name, of = call.func.attr, getattr(call.func.value, "id", "")
    if name == "execute":
        return any(isinstance(a, ast.Constant) and a.value == "COMMIT" for a in call.args)
    if of in ("os", "shutil"):
        return name in OF_MODULES
    if name == "replace":  # of a path: that of a text takes two arguments, that of a date names its own
        return of != "dataclasses" and len(call.args) == 1 and not call.keywords
    return name in EFFECTS


INEXACT = r"\b(?:DOUBLE|FLOAT[48]?|REAL)\b"


def test_no_column_is_of_an_inexact_type_wherever_it_is_declared() -> None:
    """Tables made in Python, models, macros and checks of dbt, the ledger; test_example_month asks the built ones."""
    found = []
    for path in [*PYTHON, *(ROOT / "orchestration").rglob("*.sql"), *(ROOT / "dbt_project").rglob("*.*")]:
        if path.suffix not in (".py", ".sql", ".yml") or {"dbt_packages", "target"} & set(path.parts):
            continue
        text = path.read_text()
        if path.suffix == ".sql":
            code = re.sub(r"--.*", "", re.sub(r"\{#.*?#\}", "", text, flags=re.S))
            words = re.findall(INEXACT, code, re.I)
        else:
            # SQL in Python is written in capitals, a contract has a `data_type`; words of a sentence are neither.
            if path == ROOT / "orchestration" / "pipeline" / "watchtables.py":
                continue
            words = re.findall(INEXACT, text) + re.findall(rf"data_type: .?(?i:{INEXACT})", text)
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words]
    assert not found


def test_no_model_asks_the_clock_or_uses_inexact_types() -> None:
    banned = re.compile(r"\b(current_date|current_timestamp|now\(\)|double|float|real|any_value|ignore_errors)\b", re.I)
    for path in MODELS:
        code = re.sub(r"--.*", "", path.read_text())
        assert not banned.search(code), f"{path.name}: {banned.search(code)}"


def test_locks_are_hashed_and_name_no_host() -> None:
    for name in ("requirements.lock.txt", "requirements.uv.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert text.count("==") and "--hash=sha256:" in text


def test_published_schemas_are_those_of_the_program() -> None:
    for name, schema in schemas().items():
        path = ROOT / "docs" / "schema" / f"{name}.schema.json"
        assert json.loads(path.read_text()) == json.loads(json.dumps(schema)), f"run `make schemas`: {path.name}"


def test_the_page_of_formats_is_that_of_the_program() -> None:
    assert (ROOT / "docs" / "formats.md").read_text() == page(), "run `make schemas`"
    shown = {path.stem for path in EXAMPLES.glob("*.txt")}
    assert shown == FORMATS.keys() - {"auto", "parquet"}, "each format that is text has an example, and nothing else"


def test_the_catalog_knows_the_fields_that_meters_can_compile() -> None:
    from orchestration.catalog.meters import EVENT_FIELDS

    assert {*TEXT_FIELDS, *NUMBER_FIELDS} == EVENT_FIELDS


def test_to_explain_a_line_loads_no_engine_of_dbt_no_orchestrator_and_no_parser() -> None:
    """A person waits for it: what it loads and never calls is all that makes it slow."""
    said = "import sys, orchestration.cli, orchestration.audit.explain\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    heavy = {"dagster", "dbt", "numpy", "scipy", "sklearn", "obstore", "cryptography"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in loaded)
    assert [name for name in loaded if name.startswith("orchestration.ingest.")] == ["orchestration.ingest.lake"]
