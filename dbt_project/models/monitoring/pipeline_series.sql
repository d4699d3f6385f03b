-- Grain: source, UTC day. What was delivered of the events of a day, how late, and how much of it could not be read or
-- had come before. A file belongs to the day of its last event; one without an event to the day on which it was taken.
{{ config(materialized="view") }}
select
    files.source,
    {{ day_of_epoch(whole_divide("coalesce(files.max_us, batches.now_us)", 86400000000)) }} as utc_day,
    count(case when files.retry_of is null then 1 end) as files,
    cast(sum(files.lines - files.first_line + 1) as bigint) as lines,
    cast(sum(files.accepted) as bigint) as accepted,
    cast(sum(files.quarantined) as bigint) as quarantined,
    cast(sum(files.duplicate) as bigint) as duplicates,
    {{ percent_of("sum(files.quarantined)", "sum(files.lines - files.first_line + 1)") }} as quarantined_percent,
    {{ percent_of("sum(files.duplicate)", "sum(files.lines - files.first_line + 1)") }} as duplicate_percent,
    max(case when files.retry_of is null then batches.now_us - files.max_us end) as lag_us
from {{ source("record", "files") }} as files
inner join {{ source("record", "batches") }} as batches on files.batch_id = batches.batch_id
group by files.source, utc_day
