-- Grain: customer, five minutes, endpoint, latency (of three significant digits). How many requests took so long: what
-- percentiles over customers are taken from, as those of single customers don't add up.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail", schema="metering",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
select customer, local_day, bucket_us, window_us, endpoint, latency_us, count(*) as requests
from {{ ref("stg_watched") }}
where latency_us is not null
group by customer, local_day, bucket_us, window_us, endpoint, latency_us
