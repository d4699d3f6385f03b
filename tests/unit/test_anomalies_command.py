"""`tallystick anomalies` shows what is open by the customer's clock, and journals what people say, each once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
import pytest
from incident_tables import NOON, REASONS, ROWS, TEXTS, plant
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.errors import ConfigInvalid, InputHeld, TallystickError
from orchestration.ledger.store import Ledger
from orchestration.pipeline.generation import publish, start_build
from orchestration.pipeline.instance import Instance


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An instance whose published generation has three incidents: two of acme, one of birch."""
    instance = Instance(tmp_path / "home")
    for name, text in TEXTS.items():
        path = instance.catalog / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Ledger.open(instance.home).close()
    instance.warehouse.mkdir()
    start_build(instance, fresh=True)
    with duckdb.connect(str(instance.build_db)) as con:
        plant(con, ROWS)
    publish(instance)
    return instance.home


def do(home: Path, *argv: str) -> str:
    done = CliRunner().invoke(app, ["anomalies", *argv, "--home", str(home)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def refused(home: Path, *argv: str) -> TallystickError:
    with pytest.raises(TallystickError) as caught:
        do(home, *argv)
    return caught.value


WHO = ("--by", "ana", "--reason", "a load test", "--now", "2026-11-04T09:00:00Z")


def ids(home: Path, *argv: str) -> list[str]:
    return [row["incident"] for row in json.loads(do(home, "--json", *argv))]


def test_open_incidents_are_listed_labelled_approved_and_then_gone_from_the_list(home: Path) -> None:
    first = json.loads(do(home, "--json"))[1]
    assert first == {
        "incident": "aaaa00000001", "customer": "acme", "kind": "traffic_spike",
        "first": "2026-10-14T14:00+02:00", "last": "2026-10-14T15:00+02:00",
        "first_us": 1_791_979_200_000_000, "last_us": 1_791_982_800_000_000, "alarms": 2,
        "observed": "412", "centre": "100", "lower": "60", "upper": "150",
        "label": None, "labelled_by": None, "hold": "held", "decided_by": None, "gone": False,
    }  # fmt: skip
    assert ids(home) == ["aaaa00000002", "aaaa00000001", "bbbb00000003"]
    assert ids(home, "--customer", "birch") == ids(home, "--kind", "scraping") == ["bbbb00000003"]
    shown = do(home)
    assert (
        "tallystick anomalies approve ID" in shown and "2026-10-14T08:00-04:00" in shown and "100 (60 to 150)" in shown
    )

    said = do(home, "label", "aaaa00000002", "false", *WHO)
    assert "journal entry 1: the next run takes a little more for usual" in said
    assert ids(home) == ["aaaa00000001", "bbbb00000003"]
    do(home, "label", "aaaa00000001", "real", *WHO)
    assert ids(home) == ["aaaa00000001", "bbbb00000003"], "a label releases nothing"
    assert "journal entry 3: the next close issues its drafts" in do(home, "approve", "aaaa00000001", *WHO)
    assert "as journal entry 3 says already; nothing was written" in do(home, "approve", "aaaa00000001", *WHO)
    assert "journal entry 4: retract its usage" in do(home, "reject", "bbbb", *WHO)
    assert ids(home) == ["bbbb00000003"]
    assert [row["hold"] for row in json.loads(do(home, "--json", "--all"))] == [None, "approved", "rejected"]
    with Ledger.open(home) as ledger:
        assert [entry.kind for entry in ledger.journal()] == ["label", "label", "hold", "hold"]


def test_an_incident_is_shown_hour_by_hour_with_what_was_expected_and_what_was_said(home: Path) -> None:
    do(home, "label", "aaaa00000001", "real", *WHO)
    found = json.loads(do(home, "show", "aaaa00000001", "--json"))
    limits = {"centre": "100", "lower": "60", "upper": "150", "z": "9.5"}
    assert found["hours"] == [
        {"hour": "2026-10-14T14:00+02:00", "observed": "300", **limits},
        {"hour": "2026-10-14T15:00+02:00", "observed": "412", **limits},
    ]
    # Both of acme's incidents end in that hour, and each brought the row that was planted for it.
    figures = {"distance": 21.5, "threshold": 9.25, "model": "3f2a", "reasons": REASONS}
    odd = {"hour": "2026-10-14T15:00+02:00", **figures}
    assert found["unusual_hours"] == [odd, odd]
    assert found["said"] == [
        {"entry": 1, "says": "real", "by": "ana", "reason": "a load test", "at": "2026-11-04T09:00:00Z"}
    ]
    text = do(home, "show", "aaaa00000001")
    assert "traffic_spike of acme" in text and "journal entry 1: real by ana" in text and '"requests": 0.8' in text


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_exports_say_the_same_in_each_form(suffix: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / f"incidents.{suffix}"
    do(home, "--all", "--export", str(path))
    if suffix == "csv":
        rows = list(csv.DictReader(path.open(newline="", encoding="utf-8")))
    elif suffix == "json":
        rows = json.loads(path.read_text())
    else:
        table = duckdb.read_parquet(str(path))
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    assert [(r["incident"], r["first"], int(r["first_us"]), int(r["observed"]), r["hold"] or "") for r in rows] == [
        ("aaaa00000002", "2026-10-14T14:00+02:00", 1_791_979_200_000_000, 412, ""),
        ("aaaa00000001", "2026-10-14T14:00+02:00", 1_791_979_200_000_000, 412, "held"),
        ("bbbb00000003", "2026-10-14T08:00-04:00", 1_791_979_200_000_000, 412, "held"),
    ]


def test_what_the_command_can_not_do_it_says(home: Path, tmp_path: Path) -> None:
    assert "begins the ids of 2 incidents" in refused(home, "show", "aaaa").message
    assert "no incident 'zz'" in refused(home, "approve", "zz", *WHO).message
    assert "'acne' is no customer of the catalog" in refused(home, "--customer", "acne").message
    assert "'spike' is no kind of incident" in refused(home, "--kind", "spike").message
    assert "none of .json, .parquet and .csv" in refused(home, "--export", str(tmp_path / "x.xlsx")).message
    assert isinstance(refused(home, "reject", "aaaa00000002", *WHO), ConfigInvalid)
    (home / "catalog" / "monitoring.yaml").unlink()
    assert "the catalog watches nothing" in refused(home).message
    (home / "catalog" / "monitoring.yaml").write_text("{}\n")
    start_build(Instance(home), fresh=True)
    duckdb.connect(str(Instance(home).build_db)).close()
    publish(Instance(home))
    assert isinstance(refused(home), InputHeld)
    (home / "warehouse" / "current").unlink()
    assert "nothing has been published yet" in refused(home).message


def plant_series(home: Path) -> None:
    """A day of money, an hour of a credential, and 40 moments of an endpoint, five minutes apart."""
    start_build(Instance(home), fresh=True)
    with duckdb.connect(str(Instance(home).build_db)) as con:
        plant(con, ROWS)
        con.execute(
            "INSERT INTO marts.unusual_series VALUES "
            "('money', 'acme EUR', 'earned', 'day', $1 - 43_200_000_000, 70.5, 30, 20.25, 45, 8.5), "
            "('credential', 'ak_birch', 'requests', 'hour', $1, 412, 100, 60, 150, 9.5)",
            [NOON],
        )
        con.execute(
            "INSERT INTO marts.unusual_series SELECT 'endpoint', '/v1/items', 'server_errors', '5m', "
            "unnest(range($1, $1 + 12_000_000_000, 300_000_000)), 41, 0.125, NULL, NULL, 77.25",
            [NOON + 300_000_000],
        )
    publish(Instance(home))


def test_series_beyond_their_past_are_listed_the_latest_first(home: Path) -> None:
    plant_series(home)
    found = json.loads(do(home, "series", "--json"))
    assert len(found) == 42
    assert found[0] == {
        "moment": "2026-10-14T15:20+00:00", "moment_us": NOON + 40 * 300_000_000, "grain": "5m", "scope": "endpoint",
        "key": "/v1/items", "series": "server_errors",
        "value": "41", "centre": "0.125", "lower": None, "upper": None, "z": "77.25",
    }  # fmt: skip
    assert [(row["moment"], row["grain"], row["value"], row["lower"]) for row in found[-3:]] == [
        ("2026-10-14T12:05+00:00", "5m", "41", None),
        ("2026-10-14T12:00+00:00", "hour", "412", "60"),
        ("2026-10-14T00:00+00:00", "day", "70.5", "20.25"),
    ]
    shown = do(home, "series")
    assert "and 12 more rows: see them all with --json" in shown
    assert "0.125 (- to -)" in shown and "ak_birch" not in shown


def test_series_of_a_scope_a_key_and_from_a_day_on_are_listed_alone(home: Path) -> None:
    plant_series(home)

    def keys(*argv: str) -> list[str]:
        return [row["key"] for row in json.loads(do(home, "series", "--json", *argv))]

    assert keys("--scope", "money") == keys("--key", "acme EUR") == ["acme EUR"]
    assert keys("--scope", "credential", "--key", "acme EUR") == keys("--since", "2026-10-15") == []
    assert keys("--scope", "money", "--since", "2026-10-14") == ["acme EUR"]
    assert "no series was beyond its past" in do(home, "series", "--scope", "total")
    shown = do(home, "series", "--scope", "credential")
    assert "100 (60 to 150)" in shown and "more rows" not in shown


def test_series_that_can_not_be_listed_are_refused_in_words(home: Path) -> None:
    assert "'hourly' is no scope of series" in refused(home, "series", "--scope", "hourly").message
    for day in ("2026-10-32", "20261001", "yesterday"):
        assert f"'{day}' is no day" in refused(home, "series", "--since", day).message
    (home / "catalog" / "monitoring.yaml").unlink()
    assert "the catalog watches nothing" in refused(home, "series").message
    (home / "catalog" / "monitoring.yaml").write_text("{}\n")
    start_build(Instance(home), fresh=True)
    duckdb.connect(str(Instance(home).build_db)).close()
    publish(Instance(home))
    assert isinstance(refused(home, "series"), InputHeld)
    (home / "warehouse" / "current").unlink()
    assert "nothing has been published yet" in refused(home, "series").message
