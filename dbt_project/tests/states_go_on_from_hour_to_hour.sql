-- A state that lasts has no gap: each hour begins where the one before it ended, with what that one left.
{{ config(meta={"dagster": {"ref": {"name": "carried_hourly"}}}) }}
with
    hours as (
        select *, lag(end_us) over in_order as before_us, lag(closing) over in_order as left_by_the_hour_before
        from {{ ref("carried_hourly") }}
        window in_order as (partition by customer, meter, dimensions order by bucket_us)
    )

select hours.customer, hours.meter, hours.dimensions, hours.bucket_us, hours.opening, hours.left_by_the_hour_before
from hours
where before_us <> bucket_us or opening is distinct from left_by_the_hour_before or closing < low or closing > high
