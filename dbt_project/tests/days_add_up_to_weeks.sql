-- Usage of a local week is the usage of its days, for every customer and meter.
{{ config(meta={"dagster": {"ref": {"name": "usage_weekly"}}}) }}
with
    days as (
        select
            customer,
            meter,
            {{ week_start("local_day") }} as week_start,
            case when aggregation = 'max' then max(quantity) else sum(quantity) end as quantity
        from {{ ref("usage_daily") }}
        group by customer, meter, aggregation, {{ week_start("local_day") }}
    ),

    weeks as (
        select
            customer,
            meter,
            week_start,
            case when aggregation = 'max' then max(quantity) else sum(quantity) end as quantity
        from {{ ref("usage_weekly") }}
        group by customer, meter, aggregation, week_start
    )

select
    coalesce(days.customer, weeks.customer) as customer,
    coalesce(days.meter, weeks.meter) as meter,
    coalesce(days.week_start, weeks.week_start) as week_start,
    days.quantity as quantity_of_days,
    weeks.quantity as quantity_of_week
from days
full outer join
    weeks on days.customer = weeks.customer and days.meter = weeks.meter and days.week_start = weeks.week_start
where days.quantity is distinct from weeks.quantity
