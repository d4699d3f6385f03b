-- Grain: customer, meter, window length, window. The windows of hours in which something happens to a state.
{{ config(materialized="view", schema="staging") }}
with
    hours as (select * from {{ ref("window_totals") }} where moves),

    steps as (
        select windows.meter, steps.window_length, steps.length_us, steps.step_us
        from {{ source("control", "meter_windows") }} as windows
        inner join {{ source("control", "window_steps") }} as steps on windows.window_length = steps.window_length
    ),

    changes as (
        select changes.*, {{ window_series("changes") }} as series
        from {{ ref("state_changes") }} as changes
        inner join {{ source("control", "carried_meters") }} as meters on changes.meter = meters.meter
    ),

    instants as (
        select
            hours.*,
            steps.window_length,
            steps.length_us,
            hours.bucket_us + steps.step_us as time_us,
            null as change,
            null as last,
            null as reading
        from hours
        inner join steps on hours.meter = steps.meter and steps.step_us < hours.end_us - hours.bucket_us
        union all
        select
            hours.*,
            steps.window_length,
            steps.length_us,
            changes.time_us,
            changes.change,
            changes.last,
            changes.high as reading
        from hours
        inner join steps on hours.meter = steps.meter and steps.step_us = 0
        inner join
            changes
            on hours.customer = changes.customer
            and hours.meter = changes.meter
            and hours.series = changes.series
            and hours.bucket_us = changes.bucket_us
    ),

    points as (
        select
            customer,
            meter,
            aggregation,
            window_length,
            length_us,
            series,
            local_day,
            bucket_us,
            end_us,
            opening,
            time_us,
            sum(change) as change,
            max(last) as last,
            max(reading) as reading
        from instants
        group by
            customer,
            meter,
            aggregation,
            window_length,
            length_us,
            series,
            local_day,
            bucket_us,
            end_us,
            opening,
            time_us
    ),

    states as ({{ states_of("points", "customer, meter, window_length, series, bucket_us", "end_us") }}),

    valued as (
        select
            *,
            bucket_us + {{ whole_divide("time_us - bucket_us", "length_us") }} * length_us as window_us,
            greatest(state, coalesce(reading, state)) as top
        from states
        where state is not null
    )

select
    customer,
    meter,
    aggregation,
    window_length,
    local_day,
    window_us,
    case when aggregation = 'sum' then max_by(state, time_us) else max(top) end as value
from valued
group by customer, meter, aggregation, window_length, local_day, window_us
