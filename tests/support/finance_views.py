"""The finance models and their tests as plain SQL over the tables of a build, without dbt: for lives in memory."""

from __future__ import annotations

import duckdb
from jinja2 import Environment

from orchestration.pipeline.project import PROJECT

MODELS = ("credits", "invoices", "invoice_lines", "revenue_daily", "billed_daily", "unbilled_daily",
          "revenue_positions", "credit_roll_forward")  # fmt: skip
TESTS = ("billed_days_sum_to_documents", "credits_roll_forward", "revenue_positions_are_tied")


def text_of(path: str) -> str:
    """A model or a test as the engine runs it."""
    environment = Environment()
    environment.globals |= {
        "config": lambda **_: "",
        "source": lambda schema, table: f"{schema}.{table}",
        "ref": lambda model: f"marts.{model}",
    }
    return environment.from_string((PROJECT / f"{path}.sql").read_text()).render()


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """The finance models that read nothing but the schema `record`."""
    con.execute("CREATE SCHEMA IF NOT EXISTS marts")
    for name in MODELS:
        con.execute(f"CREATE OR REPLACE VIEW marts.{name} AS {text_of(f'models/finance/{name}')}")


def found_by(con: duckdb.DuckDBPyConnection, name: str) -> int:
    """How many rows a test of the dbt project finds."""
    return len(con.execute(text_of(f"tests/{name}")).fetchall())
