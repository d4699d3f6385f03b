-- Grain: one raw file in one stream. Every line is in exactly one of the five buckets.
select
    file_id,
    batch_id,
    source,
    stream,
    path,
    sha256,
    format,
    size,
    lines,
    accepted,
    duplicate,
    conflict,
    quarantined,
    blank,
    {{ instant_of_us("min_us") }} as first_event,
    {{ instant_of_us("max_us") }} as last_event
from {{ source("record", "files") }}
