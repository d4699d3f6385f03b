"""CSV and Parquet: columns by name, one record a line, quantities as written."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from orchestration.errors import CatalogInvalid

FIELDS = {"id": "id", "time": "at", "credential": "key", "user": "who"}


def test_csv_records_are_read_with_quotes_and_gaps_and_the_header_is_a_blank_line(
    instance: Any, make_source: Any
) -> None:
    rows = [
        "id,at,key,who,n",
        "1,2026-10-01T00:00:00Z,k,u,1.10",
        '2,2026-10-01T00:00:00Z,"a, b","say ""x""",',
        "3,2026-10-01T00:00:00Z,k,u",
        '4,2026-10-01T00:00:00Z,"open,u,1',
        'rest",2026-10-01T00:00:00Z,k,u,1',
        "6,2026-10-01T00:00:00Z,,,6\r",
        "7,a\r8,2026-10-01T00:00:00Z,k,u",
        "",
    ]
    instance.put("a.csv", "\ufeff" + "\n".join(rows) + "\n")
    report = instance.run(make_source(format="csv", fields=FIELDS, properties={"n": "n"}))
    assert [(r["event_id"], r["credential"], r["p_n"]) for r in instance.events()] == [
        ("1", "k", "1.10"),
        ("2", "a, b", None),
        ("6", None, "6"),
    ]
    assert [(n, why) for n, why, _ in instance.quarantine()] == [(n, "not_csv") for n in (4, 5, 6, 8)]
    assert (report.lines, report.blank) == (9, 2)


@pytest.mark.parametrize(
    ("header", "reason"),
    [("id,at,key,n", "missing_column: who"), ("id,at,key,who,n,n", "repeated_column: n"), ('"', "bad_header")],
)
def test_F42_a_csv_without_a_mapped_column_is_held(instance: Any, make_source: Any, header: str, reason: str) -> None:
    instance.put("a.csv", header + "\n1,2,3,4,5\n")
    (held,) = instance.run(make_source(format="csv", fields=FIELDS, properties={"n": "n"})).held
    assert held.reason.startswith(reason)


def test_csv_without_ids_grows_as_a_log_does(instance: Any, make_source: Any) -> None:
    csv = make_source(
        format="csv",
        delimiter=";",
        fields={"time": "t"},
        constants={"credential": "trace"},
        zone="UTC",
        properties={"n": "n"},
    )
    row = "2023-11-16 18:15:46.6805900;374\n"
    instance.put("a.csv", "t;n\n" + row * 2)
    instance.run(csv)
    instance.put("a.csv", "t;n\n" + row * 3)
    report = instance.run(csv)
    assert (report.accepted, report.duplicate, report.blank) == (1, 3, 0)
    assert {(r["credential"], r["time_us"], r["p_n"]) for r in instance.events()} == {
        ("trace", 1700158546680590, "374")
    }
    assert [r["event_id"][-2:] for r in instance.events()] == ["02", "03", "04"]


def parquet(path: Any, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")


def test_parquet_rows_are_lines_and_decimals_stay_exact(instance: Any, make_source: Any) -> None:
    parquet(
        instance.inbox / "a.parquet",
        "SELECT * FROM (VALUES "
        "('1', TIMESTAMP '2026-10-01 00:00:00.5', 1.10::DECIMAL(18,2), 'k', 'u'), "
        "(NULL, TIMESTAMP '2026-10-01 00:00:00', 2, 'k', 'u'), "
        "('3', NULL, 3, 'k', 'u')) t(id, \"at\", \"N n\", key, who)",
    )
    source = make_source(format="parquet", zone="UTC", fields=FIELDS, properties={"n": "N n"}, quantity="n")
    report = instance.run(source)
    assert [(r["event_id"], r["time_us"], r["p_n"], r["line"]) for r in instance.events()] == [
        ("1", 1790812800_500000, "1.10", 1)
    ]
    assert report.reasons == {"missing_id": 1, "no_time": 1}


def test_parquet_without_ids_counts_by_place_and_a_second_copy_not_at_all(instance: Any, make_source: Any) -> None:
    select = "SELECT TIMESTAMPTZ '2026-10-01 02:00:00+02' AS at FROM range(3)"
    parquet(instance.inbox / "a.parquet", select)
    source = make_source(format="parquet", fields={"time": "at"})
    assert instance.run(source).accepted == 3
    (instance.inbox / "b.parquet").write_bytes((instance.inbox / "a.parquet").read_bytes())
    report = instance.run(source)
    assert (report.files, len(report.notices)) == (0, 1)
    assert {r["time_us"] for r in instance.events()} == {1790812800_000000}


def test_a_damaged_or_other_parquet_is_held(instance: Any, make_source: Any) -> None:
    source = make_source(format="parquet", fields={"time": "at"})
    parquet(instance.inbox / "a.parquet", "SELECT now() AS at FROM range(3)")
    data = (instance.inbox / "a.parquet").read_bytes()
    instance.put("a.parquet", data[:-20])
    instance.put("b.parquet", b"no parquet")
    parquet(instance.inbox / "c.parquet", "SELECT 1 AS other")
    assert [h.reason.split(":")[0] for h in instance.run(source).held] == [
        "bad_parquet",
        "bad_parquet",
        "missing_column",
    ]


def test_a_mapping_that_the_format_cannot_offer_is_refused_before_anything_is_read(
    instance: Any, make_source: Any
) -> None:
    wrong = [
        make_source(name="a", fields={"credential": "api_key"}),
        make_source(name="b", format="nonsense"),
        make_source(name="c", format="csv"),
        make_source(name="d", fields={"colour": "path"}),
        make_source(name="e", format="cloudevents", properties={"x": 'data."x'}),
        make_source(name="f", fields={"id": "path"}),
    ]
    with pytest.raises(CatalogInvalid) as caught:
        instance.run(*wrong)
    codes = [problem.code for problem in caught.value.problems]
    assert codes == ["unknown_field", "unknown_format", "no_time_column", "unknown_target", "unknown_field", "no_id"]
