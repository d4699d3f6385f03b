-- Grain: customer, local hour. The hours in which states that last are written again, in blocks without a gap: a block
-- begins at `block_us` with the state that the hour before it left, and ends at `block_end_us`.
{{ config(materialized="view", schema="staging") }}
with
    hours as (
        select
            days.customer,
            hours.local_day,
            hours.bucket_us,
            hours.end_us,
            lag(hours.end_us) over (partition by days.customer order by hours.bucket_us) as before_us
        from {{ source("control", "restated_days") }} as days
        inner join {{ source("control", "customers") }} as customers on days.customer = customers.customer
        inner join
            {{ source("control", "zone_hours") }} as hours
            on customers.zone = hours.zone
            and days.local_day = hours.local_day
        where hours.local_day < customers.known_day
    ),

    blocks as (
        select
            customer,
            local_day,
            bucket_us,
            end_us,
            max(case when before_us = bucket_us then null else bucket_us end) over (
                partition by customer order by bucket_us
            ) as block_us
        from hours
    )

select *, max(end_us) over (partition by customer, block_us) as block_end_us
from blocks
