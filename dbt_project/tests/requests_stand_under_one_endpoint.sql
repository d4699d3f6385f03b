-- Every accepted line stands under exactly one endpoint, or has no path: looking routes up loses and doubles nothing.
{{ config(meta={"dagster": {"ref": {"name": "endpoints_by_file"}}}) }}
with found as (select file_id, sum(events) as events from {{ ref("endpoints_by_file") }} group by file_id)

select files.file_id, files.accepted, found.events
from {{ source("record", "files") }} as files
left join found on files.file_id = found.file_id
where files.accepted is distinct from coalesce(found.events, 0)
