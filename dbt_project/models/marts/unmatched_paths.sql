-- Grain: source, shape of path. Requests that fit no route of their source; the 1,000 most frequent shapes of each
-- source, and all others as `(others)`. `distinct_paths` counts to 100: there it says at least 100.
with
    shapes as (
        select
            feed,
            shape,
            sum(events) as events,
            min(first_day) as first_day,
            max(last_day) as last_day,
            min(example) as example,
            {{ smallest("path_hashes", 100) }} as path_hashes
        from {{ ref("endpoints_by_file") }}
        where endpoint = '(unmatched)'
        group by feed, shape
    ),

    ranked as (
        select *, row_number() over (partition by feed order by shape = '(others)', events desc, shape) as place
        from shapes
    )

select
    feed as source,
    case when place <= 1000 then shape else '(others)' end as shape,
    cast(sum(events) as bigint) as events,
    cast(len({{ smallest("path_hashes", 100) }}) as bigint) as distinct_paths,
    min(first_day) as first_day,
    max(last_day) as last_day,
    min(example) as example
from ranked
group by feed, case when place <= 1000 then shape else '(others)' end
