-- Usage of a local month is the usage of its days, for every customer and meter.
{{ config(meta={"dagster": {"ref": {"name": "usage_monthly"}}}) }}
with
    days as (
        select
            customer,
            meter,
            {{ month_start("local_day") }} as month_start,
            case when aggregation = 'max' then max(quantity) else sum(quantity) end as quantity
        from {{ ref("usage_daily") }}
        group by customer, meter, aggregation, {{ month_start("local_day") }}
    ),

    months as (
        select
            customer,
            meter,
            month_start,
            case when aggregation = 'max' then max(quantity) else sum(quantity) end as quantity
        from {{ ref("usage_monthly") }}
        group by customer, meter, aggregation, month_start
    )

select
    coalesce(days.customer, months.customer) as customer,
    coalesce(days.meter, months.meter) as meter,
    coalesce(days.month_start, months.month_start) as month_start,
    days.quantity as quantity_of_days,
    months.quantity as quantity_of_month
from days
full outer join
    months on days.customer = months.customer and days.meter = months.meter and days.month_start = months.month_start
where days.quantity is distinct from months.quantity
