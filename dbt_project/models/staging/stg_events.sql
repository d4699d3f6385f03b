-- Grain: one row per event that counts (duplicates, conflicts and what is retracted are out), attributed at the
-- event's own time.
-- `customer` is NULL where no credential was valid then; such events are kept and reported, never guessed.
with
    counted as (
        select events.*
        from {{ source("lake", "events") }} as events
        left join
            {{ source("lake", "verdicts") }} as verdicts
            on events.file_id = verdicts.file_id
            and events.line = verdicts.line
        where verdicts.file_id is null
    ),

    attributed as (
        select counted.*, credentials.customer
        from counted
        left join
            {{ source("control", "credentials") }} as credentials
            on counted.credential = credentials.credential
            and counted.feed = coalesce(credentials.feed, counted.feed)
            and counted.time_us >= credentials.from_us
            and counted.time_us < credentials.to_us
    ),

    located as (
        select attributed.*, zones.offset_us, zones.start_us as offset_start_us, zones.carry_bucket_us, zones.carry_day
        from attributed
        left join
            {{ source("control", "customer_offsets") }} as zones
            on attributed.customer = zones.customer
            and attributed.time_us >= zones.start_us
            and attributed.time_us < zones.end_us
    )

select
    located.*,
    -- Where a clock is set back over midnight, the day that has ended does not return.
    greatest({{ day_of_epoch(whole_divide("time_us + offset_us", 86400000000)) }}, carry_day) as local_day,
    -- A bucket starts where the local clock shows a full hour; the first one after a shift may begin before it.
    case
        when time_us - (time_us + offset_us) % 3600000000 >= offset_start_us
        then time_us - (time_us + offset_us) % 3600000000
        else carry_bucket_us
    end as bucket_us
from located
