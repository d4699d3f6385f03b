-- The users of a day that this build wrote are its distinct values; each application has its own, and only the total
-- leaves out who is in several. Events that can't be measured by a meter of distinct values carry no user.
{{ config(meta={"dagster": {"ref": {"name": "active_users_daily"}}}) }}
with
    restated as (
        select users.*
        from {{ ref("active_users_daily") }} as users
        inner join
            {{ source("control", "restated_days") }} as restated
            on users.customer = restated.customer
            and users.local_day = restated.local_day
    ),

    applications as (
        select customer, meter, local_day, sum(active_users) as active_users, sum(events) as events
        from restated
        where application <> '(all)'
        group by customer, meter, local_day
    ),

    nameless as (
        select customer, meter, local_day, events from {{ ref("unmeasured_daily") }} where aggregation = 'unique_count'
    )

select
    totals.customer, totals.meter, totals.local_day, totals.active_users, applications.active_users as of_applications
from restated as totals
left join
    applications
    on totals.customer = applications.customer
    and totals.meter = applications.meter
    and totals.local_day = applications.local_day
left join
    nameless
    on totals.customer = nameless.customer
    and totals.meter = nameless.meter
    and totals.local_day = nameless.local_day
where
    totals.application = '(all)'
    and (
        totals.active_users > applications.active_users
        or totals.events <> applications.events
        or totals.events_without_user <> coalesce(nameless.events, 0)
    )
