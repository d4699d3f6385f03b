-- Grain: source. Where every line went; `lines` is the sum of the five buckets, exactly.
select
    source,
    count(case when retry_of is null then 1 end) as files,
    cast(sum(lines) as bigint) as lines,
    cast(sum(accepted) as bigint) as accepted,
    cast(sum(duplicate) as bigint) as duplicate,
    cast(sum(conflict) as bigint) as conflict,
    cast(sum(quarantined) as bigint) as quarantined,
    cast(sum(blank) as bigint) as blank
from {{ source("record", "files") }}
group by source
