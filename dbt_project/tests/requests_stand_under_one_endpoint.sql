-- Every event that counts stands under exactly one endpoint, or has no path: looking routes up loses and doubles
-- nothing.
{{ config(meta={"dagster": {"ref": {"name": "endpoints_by_file"}}}) }}
with
    found as (select file_id, sum(events) as events from {{ ref("endpoints_by_file") }} group by file_id),

    decided as (
        select file_id, sum(case when counts then 1 else -1 end) as events
        from {{ source("record", "decided") }}
        group by file_id
    ),

    retracted as (select file_id, count(*) as events from {{ source("record", "retracted") }} group by file_id)

select files.file_id, files.accepted, decided.events as decided, retracted.events as retracted, found.events
from {{ source("record", "files") }} as files
left join found on files.file_id = found.file_id
left join decided on files.file_id = decided.file_id
left join retracted on files.file_id = retracted.file_id
where
    files.accepted
    + coalesce(decided.events, 0)
    is distinct from coalesce(found.events, 0)
    + coalesce(retracted.events, 0)
