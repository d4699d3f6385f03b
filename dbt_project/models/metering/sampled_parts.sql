-- Grain: file, part (1: its first lines, 2: its last). The sampled records of each source in the order of their time,
-- batch by batch. A file without an event stands after the one before it in its stream.
{{ config(materialized="table") }}
with
    placed as (
        select *, coalesce(min_us, max(min_us) over (partition by batch_id, stream order by file_id), 0) as begins_us
        from {{ source("record", "files") }}
    ),

    stepped as (
        select
            placed.source,
            fields.file_id,
            fields.part,
            placed.batch_id,
            placed.path,
            {{ day_of_epoch(whole_divide("placed.min_us", 86400000000)) }} as utc_day,
            fields.records,
            row_number() over in_order as step,
            cast(sum(fields.records) over in_order as bigint) as upto,
            cast(sum(fields.records) over (partition by placed.source) as bigint) as source_records
        from {{ source("record", "fields") }} as fields
        inner join placed on fields.file_id = placed.file_id
        where fields.field = ''
        window
            in_order as (
                partition by placed.source
                order by placed.batch_id, placed.begins_us, fields.file_id, fields.part
                rows between unbounded preceding and current row
            )
    )

select
    *,
    upto - records as records_before,
    source_records - upto as records_after,
    batch_id = max(batch_id) over (partition by source) as newest_batch,
    -- The last parts that together have enough records to say something.
    source_records - upto < 50 as latest
from stepped
