-- Grain: customer, meter, item, addition. From when to when items are there, as known by now: an item that is there
-- can't be added, one that isn't can't be removed. Both days count; `before_day` is the last one of the stay before.
{{ config(materialized="view", schema="staging") }}
with
    events as (
        select
            events.*,
            lag(events.change) over (
                partition by events.customer, events.meter, events.session
                order by events.time_us, events.source, events.event_id
            ) as before
        from {{ ref("session_events") }} as events
        inner join
            {{ source("control", "carried_meters") }} as meters
            on events.meter = meters.meter
            and meters.aggregation = 'unique_count'
        inner join
            {{ source("control", "customers") }} as customers
            on events.customer = customers.customer
            and events.local_day < customers.known_day
    ),

    moves as (
        select
            *,
            lag(local_day) over in_order as before_day,
            lead(local_day) over in_order as to_day,
            lead(time_us) over in_order as to_us,
            lead(source) over in_order as to_source,
            lead(event_id) over in_order as to_event_id
        from events
        where change <> coalesce(before, -1)
        window in_order as (partition by customer, meter, session order by time_us, source, event_id)
    )

select
    customer,
    meter,
    dimensions,
    session as item,
    before_day,
    local_day as from_day,
    time_us as from_us,
    source as from_source,
    event_id as from_event_id,
    to_day,
    to_us,
    to_source,
    to_event_id
from moves
where change > 0
