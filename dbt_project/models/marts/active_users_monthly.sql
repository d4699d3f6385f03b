-- Grain: customer, meter, local month. Distinct users of the month, counted from the distinct users of its days.
-- `events_without_user` carried no id: they count nobody and are shown here.
with
    users as (
        select
            customer,
            meter,
            {{ month_start("local_day") }} as month_start,
            count(distinct value_key) as active_users,
            cast(sum(events) as bigint) as events
        from {{ ref("distinct_daily") }}
        group by customer, meter, {{ month_start("local_day") }}
    ),

    nameless as (
        select
            customer,
            meter,
            {{ month_start("local_day") }} as month_start,
            cast(sum(events) as bigint) as events_without_user
        from {{ ref("unmeasured_daily") }}
        where aggregation = 'unique_count'
        group by customer, meter, {{ month_start("local_day") }}
    )

select
    coalesce(users.customer, nameless.customer) as customer,
    coalesce(users.meter, nameless.meter) as meter,
    coalesce(users.month_start, nameless.month_start) as month_start,
    coalesce(users.active_users, 0) as active_users,
    coalesce(users.events, 0) as events,
    coalesce(nameless.events_without_user, 0) as events_without_user
from users
full outer join
    nameless
    on users.customer = nameless.customer
    and users.meter = nameless.meter
    and users.month_start = nameless.month_start
