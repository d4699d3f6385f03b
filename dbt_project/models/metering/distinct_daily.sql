-- Grain: customer, meter, dimensions, local day, distinct value. Periods count distinct values from here, never from
-- sums.
-- depends_on: {{ source("control", "touched_days") }}
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
select customer, meter, dimensions, local_day, value_key, count(*) as events, min(time_us) as first_us
from {{ ref("stg_values") }}
where value_key is not null
group by customer, meter, dimensions, local_day, value_key
