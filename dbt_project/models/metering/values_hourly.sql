-- Grain: customer, meter, dimensions, local hour. Distinct values of the hour, or the percentile of its events.
-- depends_on: {{ source("control", "touched_days") }}
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
select customer, meter, dimensions, local_day, bucket_us, cast(count(distinct value_key) as decimal(38, 9)) as quantity
from {{ ref("stg_values") }}
where value_key is not null
group by customer, meter, dimensions, local_day, bucket_us
{% for meter in meters(["percentile"]) %}
    union all
    select customer, meter, dimensions, local_day, bucket_us, {{ value_at_percentile("value", meter[3]) }} as quantity
    from {{ ref("stg_values") }}
    where meter = '{{ meter[0] }}' and value is not null
    group by customer, meter, dimensions, local_day, bucket_us
{% endfor %}
