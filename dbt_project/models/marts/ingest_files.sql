-- Grain: one raw file in one stream. Every line is in exactly one of the five buckets: the one that it is in now, after
-- any retries, as the ledger has it. `decided` is what reviewed decisions of conflicts changed, `retracted` what
-- reviewed
-- retractions take out; `events` counts now.
with
    decided as (
        select file_id, sum(case when counts then 1 else -1 end) as decided
        from {{ source("record", "decided") }}
        group by file_id
    ),

    retracted as (select file_id, count(*) as retracted from {{ source("record", "retracted") }} group by file_id),

    today as (
        select
            coalesce(files.retry_of, files.file_id) as file_id,
            cast(sum(files.lines) as bigint) as lines,
            cast(sum(files.accepted) as bigint) as accepted,
            cast(sum(files.duplicate) as bigint) as duplicate,
            cast(sum(files.conflict) as bigint) as conflict,
            cast(sum(files.quarantined) as bigint) as quarantined,
            cast(sum(files.blank) as bigint) as blank,
            cast(sum(coalesce(decided.decided, 0)) as bigint) as decided,
            cast(sum(coalesce(retracted.retracted, 0)) as bigint) as retracted,
            min(files.min_us) as min_us,
            max(files.max_us) as max_us
        from {{ source("record", "files") }} as files
        left join decided on files.file_id = decided.file_id
        left join retracted on files.file_id = retracted.file_id
        group by coalesce(files.retry_of, files.file_id)
    )

select
    files.file_id,
    files.batch_id,
    files.source,
    files.stream,
    files.captures,
    files.path,
    files.sha256,
    files.format,
    {{ day_of_epoch(whole_divide("batches.now_us", 86400000000)) }} as taken_day,
    files.size,
    today.lines,
    today.accepted,
    today.duplicate,
    today.conflict,
    today.quarantined,
    today.blank,
    today.decided,
    today.retracted,
    today.accepted + today.decided - today.retracted as events,
    {{ instant_of_us("today.min_us") }} as first_event,
    {{ instant_of_us("today.max_us") }} as last_event
from {{ source("record", "files") }} as files
inner join today on files.file_id = today.file_id
inner join {{ source("record", "batches") }} as batches on files.batch_id = batches.batch_id
