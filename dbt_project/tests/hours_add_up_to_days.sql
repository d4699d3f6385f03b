-- A day of a meter is what its hours make of it: their sum, greatest, least or last. Days that this build wrote;
-- distinct
-- values and percentiles don't come from hours.
{{ config(meta={"dagster": {"ref": {"name": "usage_by_day"}}}) }}
{% set keys = "customer, meter, dimensions, endpoint, method, local_day" %}
with
    hours as (
        select
            usage.customer,
            usage.meter,
            usage.dimensions,
            usage.endpoint,
            usage.method,
            usage.local_day,
            usage.quantity,
            meters.combine,
            max(usage.hour_start) over (
                partition by
                    usage.customer, usage.meter, usage.dimensions, usage.endpoint, usage.method, usage.local_day
            )
            = usage.hour_start as is_last
        from {{ ref("usage_hourly") }} as usage
        inner join
            {{ source("control", "restated_days") }} as restated
            on usage.customer = restated.customer
            and usage.local_day = restated.local_day
        inner join {{ source("control", "meters") }} as meters on usage.meter = meters.meter
    ),

    compared as (
        {% for combine in ["sum", "min", "max"] %}
            select {{ keys }}, {{ combine }} (quantity) as of_hours, null as of_day
            from hours
            where combine = '{{ combine }}'
            group by {{ keys }}
            union all
        {% endfor %}
        select {{ keys }}, quantity as of_hours, null as of_day
        from hours
        where combine = 'last' and is_last
        union all
        select
            days.customer,
            days.meter,
            days.dimensions,
            days.endpoint,
            days.method,
            days.local_day,
            null as of_hours,
            days.quantity as of_day
        from {{ ref("usage_by_day") }} as days
        inner join
            {{ source("control", "restated_days") }} as restated
            on days.customer = restated.customer
            and days.local_day = restated.local_day
        where days.combine in ('sum', 'min', 'max', 'last')
    )

select {{ keys }}, sum(of_hours) as quantity_of_hours, sum(of_day) as quantity_of_day
from compared
group by {{ keys }}
having sum(of_hours) is distinct from sum(of_day)
