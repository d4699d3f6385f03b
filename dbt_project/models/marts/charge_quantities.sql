-- Grain: line (charge and segment) and local day. What pricing reads: the day decides the price version.
-- `window_us` is set where the quantity is a watermark: the window that set it.
with
    segments as (select * from {{ source("control", "segments") }}),

    totals as (
        select
            segments.line_id,
            usage.local_day,
            cast(sum(usage.quantity) as decimal(38, 9)) as quantity,
            cast(null as bigint) as window_us
        from segments
        inner join
            {{ ref("usage_daily") }} as usage
            on segments.customer = usage.customer
            and segments.meter = usage.meter
            and usage.local_day >= segments.start_day
            and usage.local_day < segments.end_day
        where segments.measure = 'total'
        group by segments.line_id, usage.local_day
    ),

    -- A user counts once in a period: on the first active day, in whichever segment of the subscription that is.
    first_days as (
        select
            segments.subscription,
            segments.meter,
            segments.period_start,
            users.value_key,
            min(users.local_day) as local_day
        from segments
        inner join
            {{ ref("distinct_daily") }} as users
            on segments.customer = users.customer
            and segments.meter = users.meter
            and users.local_day >= segments.start_day
            and users.local_day < segments.end_day
        where segments.measure = 'unique'
        group by segments.subscription, segments.meter, segments.period_start, users.value_key
    ),

    uniques as (
        select
            segments.line_id,
            first_days.local_day,
            cast(count(*) as decimal(38, 9)) as quantity,
            cast(null as bigint) as window_us
        from segments
        inner join
            first_days
            on segments.subscription = first_days.subscription
            and segments.meter = first_days.meter
            and segments.period_start = first_days.period_start
            and first_days.local_day >= segments.start_day
            and first_days.local_day < segments.end_day
        where segments.measure = 'unique'
        group by segments.line_id, first_days.local_day
    ),

    ranked as (
        select
            segments.line_id,
            windows.local_day,
            windows.value,
            windows.window_us,
            row_number() over (
                partition by segments.line_id order by windows.value desc, windows.window_us asc
            ) as place
        from segments
        inner join
            {{ ref("windows") }} as windows
            on segments.customer = windows.customer
            and segments.meter = windows.meter
            and segments.measure = windows.window_length
            and windows.local_day >= segments.start_day
            and windows.local_day < segments.end_day
    )

select line_id, local_day, quantity, window_us
from totals
union all
select line_id, local_day, quantity, window_us
from uniques
union all
select line_id, local_day, value as quantity, window_us
from ranked
where place = 1
