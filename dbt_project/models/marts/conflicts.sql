-- Grain: one line of an event that came with different contents. `counted` is the one that counts: the first that was
-- committed, or the one that a reviewed decision names. While `status` is open, the customers of all its lines are
-- parked.
select
    conflicts.file_id,
    conflicts.line,
    conflicts.source,
    conflicts.event_id,
    conflicts.payload_hash,
    conflicts.counted,
    conflicts.status,
    credentials.customer,
    {{ instant_of_us("conflicts.time_us") }} as event_time,
    {{ day_of_epoch(whole_divide("conflicts.time_us", 86400000000)) }} as utc_day
from {{ source("record", "conflicts") }} as conflicts
left join
    {{ source("control", "credentials") }} as credentials
    on conflicts.credential = credentials.credential
    and conflicts.feed = coalesce(credentials.feed, conflicts.feed)
    and conflicts.time_us >= credentials.from_us
    and conflicts.time_us < credentials.to_us
