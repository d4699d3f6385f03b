"""A past of requests by endpoint and by client, with what the tables of watching are to find in it."""

from __future__ import annotations

import duckdb

ENDPOINTS = """
INSERT INTO metering.endpoint_daily
SELECT DATE '2024-08-26' + n::INT, '/planted', 100, 93, 2,
    CASE WHEN n = 20 THEN 40 ELSE 3 + n % 2 END, 0, 1, 100000,
    CASE WHEN n >= 28 THEN 200000 ELSE 99000 + 1000 * (n % 3) END, 300000, 400000, 100
FROM range(40) AS days(n)
"""
"""Forty days from 26 August: a median of 99, 100, 101 ms in turns, 200 ms from 23 September on; one bad day, the 15th."""
CLIENTS = """
INSERT INTO metering.client_daily
SELECT customer, DATE '2024-09-01' + n::INT, 'okhttp', CASE WHEN n >= 20 THEN '4.10.0' ELSE '4.9.1' END, '/planted',
    status, requests
FROM range(24) AS days(n), (VALUES ('alder'), ('birch')) AS customers(customer), LATERAL (
    SELECT 404, CASE WHEN customer = 'alder' THEN 2 ELSE 1 END WHERE n <> 22
    UNION ALL SELECT 200, CASE WHEN customer = 'alder' AND n = 20 THEN 58 WHEN n = 22 THEN 60 ELSE 98 END
    UNION ALL SELECT 401, 40 WHERE customer = 'alder' AND n = 20
    UNION ALL SELECT 503, 40 WHERE n = 22
) AS ends(status, requests)
"""
"""From 1 September: alder's new version is refused on the 21st; on the 23rd the server fails both customers."""


def plant(con: duckdb.DuckDBPyConnection) -> None:
    """Put both into a build that has its usage."""
    con.execute(ENDPOINTS)
    con.execute(CLIENTS)
