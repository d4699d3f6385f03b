-- Grain: level, source, day of the run (UTC) that took the files; `source` and `taken_day` are NULL above their level.
-- Where every line went: at each level `lines` is the sum of the five buckets, exactly. A retry counts with its file.
select
    case
        when grouping(source) = 0 and grouping(taken_day) = 0
        then 'source_day'
        when grouping(source) = 0
        then 'source'
        when grouping(taken_day) = 0
        then 'day'
        else 'total'
    end as level,
    source,
    taken_day,
    count(*) as files,
    cast(coalesce(sum(lines), 0) as bigint) as lines,
    cast(coalesce(sum(accepted), 0) as bigint) as accepted,
    cast(coalesce(sum(duplicate), 0) as bigint) as duplicate,
    cast(coalesce(sum(conflict), 0) as bigint) as conflict,
    cast(coalesce(sum(quarantined), 0) as bigint) as quarantined,
    cast(coalesce(sum(blank), 0) as bigint) as blank,
    cast(coalesce(sum(decided), 0) as bigint) as decided,
    cast(coalesce(sum(retracted), 0) as bigint) as retracted,
    cast(coalesce(sum(events), 0) as bigint) as events
from {{ ref("ingest_files") }}
group by grouping sets ((source, taken_day), (source), (taken_day), ())
