-- What the wide base fact says could not be measured is reported, meter by meter and day by day.
-- depends_on: {{ ref("metered_hours") }}
{{ config(meta={"dagster": {"ref": {"name": "unmeasured_daily"}}}) }}
with
    compared as (
        {% for meter in meters(wide_aggregations()) %}
            select
                hours.customer,
                '{{ meter[0] }}' as meter,
                hours.local_day,
                hours.u_{{ meter[0] }} as of_hours,
                0 as reported
            from {{ ref("metered_hours") }} as hours
            inner join
                {{ source("control", "touched_days") }} as touched
                on hours.customer = touched.customer
                and hours.local_day = touched.local_day
            where hours.u_{{ meter[0] }} is not null
            union all
        {% endfor %}
        select days.customer, days.meter, days.local_day, 0 as of_hours, days.events as reported
        from {{ ref("unmeasured_daily") }} as days
        inner join
            {{ source("control", "touched_days") }} as touched
            on days.customer = touched.customer
            and days.local_day = touched.local_day
        inner join {{ source("control", "meters") }} as meters on days.meter = meters.meter
        where meters.aggregation in ('count', 'sum', 'min', 'max') and not meters.carried
    )

select customer, meter, local_day, sum(of_hours) as events_of_hours, sum(reported) as events_reported
from compared
group by customer, meter, local_day
having sum(of_hours) <> sum(reported)
