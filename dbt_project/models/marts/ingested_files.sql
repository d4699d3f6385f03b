-- Grain: one raw file in one stream. Every line is in exactly one of the five buckets: the one that it is in now, after
-- any retries.
with
    today as (
        select
            coalesce(retry_of, file_id) as file_id,
            cast(sum(lines) as bigint) as lines,
            cast(sum(accepted) as bigint) as accepted,
            cast(sum(duplicate) as bigint) as duplicate,
            cast(sum(conflict) as bigint) as conflict,
            cast(sum(quarantined) as bigint) as quarantined,
            cast(sum(blank) as bigint) as blank,
            min(min_us) as min_us,
            max(max_us) as max_us
        from {{ source("record", "files") }}
        group by coalesce(retry_of, file_id)
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
    files.size,
    today.lines,
    today.accepted,
    today.duplicate,
    today.conflict,
    today.quarantined,
    today.blank,
    {{ instant_of_us("today.min_us") }} as first_event,
    {{ instant_of_us("today.max_us") }} as last_event
from {{ source("record", "files") }} as files
inner join today on files.file_id = today.file_id
