-- Grain: customer, meter, series, local hour. Hours of states that windows are made of: levels and totals added up
-- over the
-- dimensions, as one series; readings by dimensions. `moves`: whether something happens to the meter in the hour.
{{ config(materialized="view", schema="staging") }}
with
    hours as (
        select
            hours.*,
            meters.aggregation,
            {{ window_series("hours") }} as series,
            exists (
                select 1
                from {{ ref("state_changes") }} as changes
                where
                    changes.customer = hours.customer
                    and changes.meter = hours.meter
                    and changes.bucket_us = hours.bucket_us
            ) as moves
        from {{ ref("carried_hourly") }} as hours
        inner join {{ source("control", "carried_meters") }} as meters on hours.meter = meters.meter
        inner join
            {{ source("control", "restated_days") }} as restated
            on hours.customer = restated.customer
            and hours.local_day = restated.local_day
        where meters.aggregation in ('sum', 'max', 'level')
    )

select
    customer,
    meter,
    aggregation,
    series,
    local_day,
    bucket_us,
    end_us,
    moves,
    cast(sum(opening) as decimal(38, 9)) as opening,
    cast(sum(closing) as decimal(38, 9)) as closing,
    max(high) as high
from hours
group by customer, meter, aggregation, series, local_day, bucket_us, end_us, moves
