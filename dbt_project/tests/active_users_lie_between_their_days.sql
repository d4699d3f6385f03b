-- The users of a month are at least those of its busiest day and at most those of all days together.
{{ config(meta={"dagster": {"ref": {"name": "active_users_monthly"}}}) }}
with
    days as (
        select
            customer,
            meter,
            {{ month_start("local_day") }} as month_start,
            local_day,
            count(*) as users,
            sum(events) as events
        from {{ ref("distinct_daily") }}
        group by customer, meter, {{ month_start("local_day") }}, local_day
    ),

    bounds as (
        select customer, meter, month_start, max(users) as at_least, sum(users) as at_most, sum(events) as events
        from days
        group by customer, meter, month_start
    )

select
    coalesce(bounds.customer, months.customer) as customer,
    coalesce(bounds.meter, months.meter) as meter,
    coalesce(bounds.month_start, months.month_start) as month_start,
    bounds.at_least,
    months.active_users,
    bounds.at_most
from bounds
full outer join
    {{ ref("active_users_monthly") }} as months
    on bounds.customer = months.customer
    and bounds.meter = months.meter
    and bounds.month_start = months.month_start
where
    coalesce(months.active_users, -1) < coalesce(bounds.at_least, 0)
    or coalesce(months.active_users, -1) > coalesce(bounds.at_most, 0)
    or coalesce(months.events, -1) <> coalesce(bounds.events, 0)
