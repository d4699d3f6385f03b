-- Of the lines of one event exactly one counts, and it has at least one rival.
{{ config(meta={"dagster": {"ref": {"name": "conflicts"}}}) }}
select source, event_id, count(*) as payloads, sum(case when counted then 1 else 0 end) as counted
from {{ ref("conflicts") }}
group by source, event_id
having sum(case when counted then 1 else 0 end) <> 1 or count(*) < 2
