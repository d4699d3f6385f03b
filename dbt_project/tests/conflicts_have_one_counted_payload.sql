-- Of the payloads of one event exactly one counts, and it has at least one rival.
{{ config(meta={"dagster": {"ref": {"name": "conflicting_events"}}}) }}
select source, event_id, count(*) as payloads, sum(case when counted then 1 else 0 end) as counted
from {{ ref("conflicting_events") }}
group by source, event_id
having sum(case when counted then 1 else 0 end) <> 1 or count(*) < 2
