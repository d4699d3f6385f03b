-- No day's share of quarantined lines lies far above what the source had before.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "quarantine_shares"}}}) }}
select source, utc_day, quarantined_percent, usual_percent
from {{ ref("quarantine_shares") }}
where unusual
