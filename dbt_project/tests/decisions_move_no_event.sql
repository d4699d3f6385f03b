-- A decision lets one payload of an event count in place of another: it adds no event, and takes none away.
{{ config(meta={"dagster": {"ref": {"name": "conflicts"}}}) }}
with
    named as (
        select
            source,
            event_id,
            sum(case when counts then 1 else 0 end) as counted_now,
            sum(case when counts then 0 else 1 end) as counted_before
        from {{ source("record", "decided") }}
        group by source, event_id
    ),

    stray as (
        select decided.source, decided.event_id
        from {{ source("record", "decided") }} as decided
        left join
            {{ ref("conflicts") }} as conflicts
            on decided.file_id = conflicts.file_id
            and decided.line = conflicts.line
            and decided.counts = conflicts.counted
            and conflicts.status = 'decided'
        where conflicts.file_id is null
    )

select source, event_id
from named
where counted_now <> 1 or counted_before <> 1
union all
select source, event_id
from stray
