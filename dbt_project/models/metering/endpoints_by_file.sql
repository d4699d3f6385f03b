-- Grain: file, endpoint, shape. Every event by its endpoint; those under no route by what their paths look like.
-- A file gives at most 1,000 shapes, the most frequent; the rest is `(others)`. At most 100 hashes of paths are kept.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="files", touched_keys=["file_id"]
) }}
with
    requests as (
        select
            file_id,
            feed,
            endpoint,
            case when endpoint = '(unmatched)' then shape end as shape,
            case when endpoint = '(unmatched)' then path end as path,
            {{ day_of_epoch(whole_divide("time_us", 86400000000)) }} as utc_day
        from {{ ref("stg_requests") }}
        where file_id in (select file_id from {{ source("control", "new_files") }})
    ),

    paths as (
        select
            file_id,
            feed,
            endpoint,
            shape,
            path,
            count(*) as events,
            min(utc_day) as first_day,
            max(utc_day) as last_day
        from requests
        group by file_id, feed, endpoint, shape, path
    ),

    shapes as (
        select
            file_id,
            feed,
            endpoint,
            shape,
            cast(sum(events) as bigint) as events,
            min(first_day) as first_day,
            max(last_day) as last_day,
            min(path) as example,
            {{ smallest_hashes("path", 100) }} as path_hashes
        from paths
        group by file_id, feed, endpoint, shape
    ),

    ranked as (
        select *, row_number() over (partition by file_id, endpoint order by events desc, shape) as place from shapes
    )

select
    file_id,
    feed,
    endpoint,
    case when place <= 1000 then shape else '(others)' end as shape,
    cast(sum(events) as bigint) as events,
    min(first_day) as first_day,
    max(last_day) as last_day,
    min(example) as example,
    {{ smallest("path_hashes", 100) }} as path_hashes
from ranked
group by file_id, feed, endpoint, case when place <= 1000 then shape else '(others)' end
