-- Grain: customer, meter, dimensions, instant. What happens to states that last, whichever way it is told.
{{ config(materialized="view") }}
select customer, meter, dimensions, local_day, bucket_us, time_us, change, last, low, high
from {{ ref("changes") }}
union all
select
    customer,
    meter,
    dimensions,
    local_day,
    bucket_us,
    time_us,
    change,
    cast(null as decimal(38, 9)) as last,
    cast(null as decimal(38, 9)) as low,
    cast(null as decimal(38, 9)) as high
from {{ ref("session_changes") }}
where change is not null
