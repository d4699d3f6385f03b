-- Grain: line, local day and value. Marks: the window at a rank of all windows of the segment, empty ones are 0 (the
-- greatest is that of rank 100 of 100); the greatest of each day; or each window, so many of a day with one value.
{{ config(materialized="view") }}
with
    inside as (
        select
            segments.line_id,
            segments.measure,
            coalesce(segments.percentile, 100) as percentile,
            segments.windows as windows_of_segment,
            windows.local_day,
            windows.window_us,
            windows.windows,
            windows.value
        from {{ ref("touched_segments") }} as segments
        inner join
            {{ ref("windows") }} as windows
            on segments.customer = windows.customer
            and segments.meter = windows.meter
            and segments.window_length = windows.window_length
            and windows.local_day >= segments.start_day
            and windows.local_day < segments.end_day
        where segments.measure in ('mark', 'daily_sum', 'each_window')
    ),

    with_empty as (
        select line_id, percentile, value, windows
        from inside
        where measure = 'mark'
        union all
        select
            line_id,
            percentile,
            cast(0 as decimal(38, 9)) as value,
            cast(greatest(max(windows_of_segment) - sum(windows), 0) as bigint) as windows
        from inside
        where measure = 'mark'
        group by line_id, percentile
    ),

    ranked as (
        select
            line_id,
            percentile,
            value,
            sum(windows) over (partition by line_id order by value) as reached,
            sum(windows) over (partition by line_id) as windows
        from with_empty
    ),

    marks as (
        select line_id, min(value) as value
        from ranked
        where reached >= {{ whole_divide("percentile * windows + 99", 100) }}
        group by line_id
    ),

    -- The window that set it is the earliest of equals; a mark of 0 prices nothing.
    setters as (
        select
            inside.line_id,
            inside.local_day,
            inside.value,
            inside.window_us,
            row_number() over (partition by inside.line_id order by inside.window_us) as place
        from inside
        inner join marks on inside.line_id = marks.line_id and inside.value = marks.value and marks.value <> 0
    )

select line_id, local_day, value as quantity, window_us, cast(1 as bigint) as windows
from setters
where place = 1
union all
select line_id, local_day, max(value) as quantity, cast(null as bigint) as window_us, cast(1 as bigint) as windows
from inside
where measure = 'daily_sum'
group by line_id, local_day
having max(value) > 0
union all
select line_id, local_day, value as quantity, cast(null as bigint) as window_us, cast(sum(windows) as bigint) as windows
from inside
where measure = 'each_window' and value <> 0
group by line_id, local_day, value
