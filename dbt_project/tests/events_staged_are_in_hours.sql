-- Every event of a touched day that has a customer is counted in exactly one hour.
{{ config(meta={"dagster": {"ref": {"name": "metered_hours"}}}) }}
with
    staged as (
        select events.customer, events.local_day, count(*) as events
        from {{ ref("stg_events") }} as events
        inner join
            {{ source("control", "touched_days") }} as touched
            on events.customer = touched.customer
            and events.local_day = touched.local_day
        group by events.customer, events.local_day
    ),

    hours as (
        select hours.customer, hours.local_day, sum(hours.events) as events
        from {{ ref("metered_hours") }} as hours
        inner join
            {{ source("control", "touched_days") }} as touched
            on hours.customer = touched.customer
            and hours.local_day = touched.local_day
        group by hours.customer, hours.local_day
    )

select
    coalesce(staged.customer, hours.customer) as customer,
    coalesce(staged.local_day, hours.local_day) as local_day,
    staged.events as events_staged,
    hours.events as events_in_hours
from staged
full outer join hours on staged.customer = hours.customer and staged.local_day = hours.local_day
where staged.events is distinct from hours.events
