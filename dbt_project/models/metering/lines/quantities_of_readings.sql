-- Grain: line. One value of the segment, on the day of the event that set it (the earliest of equals): the greatest or
-- least, the last event, the state in force at the end, the value at a rank of all events.
{{ config(materialized="view") }}
with
    segments as (select * from {{ ref("touched_segments") }}),

    -- A state carried from before the segment stands on its first day.
    states as (
        select
            segments.line_id,
            usage.local_day,
            usage.quantity,
            row_number() over (
                partition by segments.line_id
                order by
                    case segments.measure when 'greatest' then - usage.quantity when 'least' then usage.quantity end,
                    case when segments.measure = 'reading' then - usage.set_us end,
                    case when segments.measure = 'reading' then usage.dimensions end desc,
                    usage.local_day
            ) as place
        from segments
        inner join
            {{ ref("usage_by_day") }} as usage
            on segments.customer = usage.customer
            and segments.meter = usage.meter
            and usage.local_day >= segments.start_day
            and usage.local_day < segments.end_day
        where segments.measure in ('greatest', 'least', 'reading')
    ),

    lasts as (
        select
            segments.line_id,
            hours.local_day,
            hours.value as quantity,
            row_number() over (
                partition by segments.line_id order by hours.time_us desc, hours.source desc, hours.event_id desc
            ) as place
        from segments
        inner join
            {{ ref("latest_hourly") }} as hours
            on segments.customer = hours.customer
            and segments.meter = hours.meter
            and hours.local_day >= segments.start_day
            and hours.local_day < segments.end_day
        where segments.measure = 'latest'
    ),

    events as (
        select
            segments.line_id,
            segments.percentile,
            days.local_day,
            days.value,
            sum(days.events) over (partition by segments.line_id order by days.value) as reached,
            sum(days.events) over (partition by segments.line_id) as events
        from segments
        inner join
            {{ ref("values_daily") }} as days
            on segments.customer = days.customer
            and segments.meter = days.meter
            and days.local_day >= segments.start_day
            and days.local_day < segments.end_day
        where segments.measure = 'rank'
    ),

    ranked as (
        select line_id, local_day, value, row_number() over (partition by line_id order by value, local_day) as place
        from events
        where reached >= {{ whole_divide("percentile * events + 99", 100) }}
    )

select line_id, local_day, quantity
from states
where place = 1
union all
select line_id, local_day, quantity
from lasts
where place = 1
union all
select line_id, local_day, value as quantity
from ranked
where place = 1
