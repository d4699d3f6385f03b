-- Grain: customer, meter, local day. Events that a meter takes but cannot measure: reported, never counted as 0. Among
-- them starts and stops that no other event pairs with, which a later delivery may change.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
with
    cells as (
        select customer, meter, local_day, events
        from {{ ref("unmeasured_cells") }}
        union all
        select customer, meter, local_day, unpaired
        from {{ ref("session_changes") }}
        where unpaired > 0
    )

select cells.customer, cells.meter, meters.aggregation, cells.local_day, cast(sum(cells.events) as bigint) as events
from cells
inner join
    {{ source("control", "restated_days") }} as restated
    on cells.customer = restated.customer
    and cells.local_day = restated.local_day
inner join {{ source("control", "meters") }} as meters on cells.meter = meters.meter
group by cells.customer, cells.meter, meters.aggregation, cells.local_day
