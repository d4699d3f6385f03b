-- Grain: customer, meter, local day. Events that a meter takes but cannot measure: reported, never counted as 0.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="days", touched_keys=["customer", "local_day"]
) }}
select cells.customer, cells.meter, cells.aggregation, cells.local_day, cast(sum(cells.events) as bigint) as events
from {{ ref("unmeasured_cells") }} as cells
inner join
    {{ source("control", "touched_days") }} as touched
    on cells.customer = touched.customer
    and cells.local_day = touched.local_day
group by cells.customer, cells.meter, cells.aggregation, cells.local_day
