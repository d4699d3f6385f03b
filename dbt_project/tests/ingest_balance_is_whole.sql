-- At every level of the balance the lines are the sum of the five buckets. A missing count fails too.
{{ config(meta={"dagster": {"ref": {"name": "ingest_balance"}}}) }}
select level, source, taken_day, lines, accepted, duplicate, conflict, quarantined, blank, decided, retracted, events
from {{ ref("ingest_balance") }}
where
    lines is distinct from accepted + duplicate + conflict + quarantined + blank
    or events is distinct from accepted + decided - retracted
