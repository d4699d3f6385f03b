-- Grain: source, UTC day. The share of lines that could not be read, against all earlier days of the source.
-- A file belongs to the day of its last event; one without an event to the day on which it was taken.
with
    days as (
        select
            files.source,
            {{ day_of_epoch(whole_divide("coalesce(files.max_us, batches.now_us)", 86400000000)) }} as utc_day,
            cast(sum(files.lines - files.first_line + 1) as bigint) as lines,
            cast(sum(files.quarantined) as bigint) as quarantined
        from {{ source("record", "files") }} as files
        inner join {{ source("record", "batches") }} as batches on files.batch_id = batches.batch_id
        group by files.source, utc_day
        having sum(files.lines - files.first_line + 1) > 0
    ),

    compared as (
        select
            *,
            cast(sum(lines) over earlier as bigint) as lines_before,
            cast(sum(quarantined) over earlier as bigint) as quarantined_before
        from days
        window earlier as (partition by source order by utc_day rows between unbounded preceding and 1 preceding)
    )

select
    source,
    utc_day,
    lines,
    quarantined,
    cast({{ whole_divide("10000 * quarantined", "lines") }} * 0.01 as decimal(5, 2)) as quarantined_percent,
    cast({{ whole_divide("10000 * quarantined_before", "lines_before") }} * 0.01 as decimal(5, 2)) as usual_percent,
    -- More than three times the usual share, and more than a percentage point above it.
    coalesce(
        cast(quarantined as decimal(38, 0)) * lines_before > cast(quarantined_before as decimal(38, 0)) * lines * 3
        and (cast(quarantined as decimal(38, 0)) * lines_before - cast(quarantined_before as decimal(38, 0)) * lines)
        * 100
        > cast(lines as decimal(38, 0)) * lines_before,
        false
    ) as unusual
from compared
