-- Grain: file, credential, event type, UTC day. Events whose credential belonged to nobody at their time.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="files", touched_keys=["file_id"]
) }}
select
    file_id,
    feed,
    credential,
    event_type,
    {{ day_of_epoch(whole_divide("time_us", 86400000000)) }} as utc_day,
    count(*) as events,
    cast(sum(coalesce(bytes, 0)) as decimal(38, 0)) as bytes
from {{ ref("stg_events") }}
where customer is null and file_id in (select file_id from {{ source("control", "new_files") }})
group by file_id, feed, credential, event_type, utc_day
