-- Grain: customer, meter, window length, first of `windows` windows of one value, one after the other. Windows of
-- states
-- that last, over all dimensions. An hour in which nothing happens is one row, whatever the windows' length.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    still as (
        select
            customer,
            meter,
            aggregation,
            local_day,
            bucket_us,
            end_us,
            case when aggregation = 'max' then max(high) else max(closing) end as value
        from {{ ref("window_totals") }}
        where not moves
        group by customer, meter, aggregation, local_day, bucket_us, end_us
    ),

    within_hours as (
        select customer, meter, aggregation, window_length, local_day, window_us, 1 as windows, value
        from {{ ref("moved_windows") }}
        union all
        select
            still.customer,
            still.meter,
            still.aggregation,
            lengths.window_length,
            still.local_day,
            still.bucket_us as window_us,
            case
                when lengths.window_length = '1h'
                then 1
                else {{ whole_divide("still.end_us - still.bucket_us", "lengths.length_us") }}
            end as windows,
            still.value
        from still
        inner join {{ source("control", "meter_windows") }} as lengths on still.meter = lengths.meter
        where lengths.window_length <> '1d'
    ),

    days as (
        select
            hours.customer,
            hours.meter,
            '1d' as window_length,
            hours.local_day,
            calendar.start_us as window_us,
            1 as windows,
            case
                when hours.aggregation = 'sum' then max_by(hours.value, hours.window_us) else max(hours.value)
            end as value
        from within_hours as hours
        inner join {{ source("control", "customers") }} as customers on hours.customer = customers.customer
        inner join
            {{ source("control", "zone_days") }} as calendar
            on customers.zone = calendar.zone
            and hours.local_day = calendar.local_day
        where hours.window_length = '1h'
        group by hours.customer, hours.meter, hours.aggregation, hours.local_day, calendar.start_us
    )

select customer, meter, window_length, local_day, window_us, cast(windows as bigint) as windows, value
from within_hours
union all
select customer, meter, window_length, local_day, window_us, cast(windows as bigint) as windows, value
from days
