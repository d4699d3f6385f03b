-- No field that a source's mapping reads has vanished: what it fed would be missing from every event.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "schema_drift"}}}) }}
select source, field, last_file
from {{ ref("schema_drift") }}
where mapped and status = 'vanished'
