-- Grain: customer, meter, dimensions, local hour. Distinct values of the hour, or the percentile of its events.
-- depends_on: {{ source("control", "touched_days") }}
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
select customer, meter, dimensions, local_day, bucket_us, cast(count(*) as decimal(38, 9)) as quantity
from {{ ref("stg_values") }}
where value_key is not null
group by customer, meter, dimensions, local_day, bucket_us
union all
select customer, meter, dimensions, local_day, bucket_us, quantity
from ({{ ranks(ref("stg_values"), ["customer", "meter", "dimensions", "local_day", "bucket_us"]) }}) as ranked
