-- Grain: one reviewed row of `retractions.yaml`, in its order: what it names, and what it does. The last row that names
-- an event decides about it, so `in_force` says of how many of its events this is the last one.
with
    decisive as (
        select source, event_id, max(row_number) as row_number
        from {{ source("record", "retraction_events") }}
        group by source, event_id
    ),

    named as (
        select
            events.row_number,
            count(*) as events,
            count(decisive.row_number) as in_force,
            min(events.time_us) as first_us,
            max(events.time_us) as last_us
        from {{ source("record", "retraction_events") }} as events
        left join
            decisive
            on events.source = decisive.source
            and events.event_id = decisive.event_id
            and events.row_number = decisive.row_number
        group by events.row_number
    )

select
    retractions.row_number,
    retractions.place,
    case when retractions.restore then 'restore' else 'retract' end as action,
    retractions.source,
    retractions.event_id,
    retractions.sha256,
    retractions.path,
    retractions.line,
    retractions.feed,
    retractions.name,
    retractions.reviewer,
    retractions.decided_on,
    retractions.reason,
    coalesce(named.events, 0) as events,
    coalesce(named.in_force, 0) as in_force,
    {{ instant_of_us("named.first_us") }} as first_event,
    {{ instant_of_us("named.last_us") }} as last_event,
    retractions.problem,
    retractions.note
from {{ source("record", "retractions") }} as retractions
left join named on retractions.row_number = named.row_number
