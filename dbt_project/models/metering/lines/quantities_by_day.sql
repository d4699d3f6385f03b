-- Grain: line and local day. Sums of the day; for a carried sum what it gained or lost, or on the day that set it, what
-- it is at the segment's end. What was in force before the segment is gained on its first day.
{{ config(materialized="view") }}
with
    daily as (
        select
            segments.line_id, segments.measure, usage.local_day, cast(sum(usage.quantity) as decimal(38, 9)) as quantity
        from {{ ref("touched_segments") }} as segments
        inner join
            {{ ref("usage_daily") }} as usage
            on segments.customer = usage.customer
            and segments.meter = usage.meter
            and usage.local_day >= segments.start_day
            and usage.local_day < segments.end_day
        where segments.measure in ('total', 'running', 'seats')
        group by segments.line_id, segments.measure, usage.local_day
    ),

    changes as (
        select
            line_id,
            measure,
            local_day,
            cast(
                quantity - coalesce(lag(quantity) over (partition by line_id order by local_day), 0) as decimal(38, 9)
            ) as quantity
        from daily
        where measure in ('running', 'seats')
    )

select line_id, local_day, quantity
from daily
where measure = 'total'
union all
select line_id, local_day, quantity
from changes
where measure = 'seats' and quantity <> 0
union all
select line_id, max(local_day) as local_day, cast(sum(quantity) as decimal(38, 9)) as quantity
from changes
where measure = 'running' and quantity <> 0
group by line_id
