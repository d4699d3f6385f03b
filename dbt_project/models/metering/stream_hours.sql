-- Grain: file, UTC hour (hours since 1970). Events delivered, duplicates among them; an hour without any has no row.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="files", touched_keys=["file_id"]
) }}
select file_id, {{ whole_divide("time_us", 3600000000) }} as utc_hour, count(*) as events
from {{ source("lake", "events") }}
where file_id in (select file_id from {{ source("control", "new_files") }})
group by file_id, utc_hour
