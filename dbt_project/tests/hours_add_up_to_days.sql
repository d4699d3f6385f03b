-- Usage of a touched day, meter by meter, is the usage of its hours: sums for count and sum, the greatest for max.
{{ config(meta={"dagster": {"ref": {"name": "usage_by_day"}}}) }}
with
    touched_hours as (
        select hours.*
        from {{ ref("usage_hourly") }} as hours
        inner join
            {{ source("control", "touched_days") }} as touched
            on hours.customer = touched.customer
            and hours.local_day = touched.local_day
    ),

    hours as (
        select
            cast(null as varchar) as customer,
            cast(null as varchar) as meter,
            cast(null as date) as local_day,
            cast(null as decimal(38, 9)) as quantity
        where false
        {% for meter in meters(["count", "sum", "max"]) %}
            union all
            select
                customer,
                '{{ meter[0] }}' as meter,
                local_day,
                cast({{ "max" if meter[1] == "max" else "sum" }} (m_{{ meter[0] }}) as decimal(38, 9)) as quantity
            from touched_hours
            where m_{{ meter[0] }} is not null
            group by customer, local_day
        {% endfor %}
    ),

    days as (
        select
            days.customer,
            days.meter,
            days.local_day,
            case when days.aggregation = 'max' then max(days.quantity) else sum(days.quantity) end as quantity
        from {{ ref("usage_by_day") }} as days
        inner join
            {{ source("control", "touched_days") }} as touched
            on days.customer = touched.customer
            and days.local_day = touched.local_day
        group by days.customer, days.meter, days.aggregation, days.local_day
    )

select
    coalesce(hours.customer, days.customer) as customer,
    coalesce(hours.meter, days.meter) as meter,
    coalesce(hours.local_day, days.local_day) as local_day,
    hours.quantity as quantity_of_hours,
    days.quantity as quantity_of_days
from hours
full outer join days on hours.customer = days.customer and hours.meter = days.meter and hours.local_day = days.local_day
where hours.quantity is distinct from days.quantity
