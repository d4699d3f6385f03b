-- Grain: customer, meter, dimensions, local day, item. Items that are there on a day, from the one on which they are
-- added to the one on which they are removed, both counted. `events` are additions of the day.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="restated_days", touched_keys=["customer", "local_day"]
) }}
select
    stays.customer,
    stays.meter,
    stays.dimensions,
    restated.local_day,
    stays.item as value_key,
    cast(count(case when stays.from_day = restated.local_day then 1 end) as bigint) as events
from {{ source("control", "restated_days") }} as restated
inner join
    {{ source("control", "customers") }} as customers
    on restated.customer = customers.customer
    and restated.local_day < customers.known_day
inner join
    {{ source("control", "zone_days") }} as calendar
    on customers.zone = calendar.zone
    and restated.local_day = calendar.local_day
inner join
    {{ ref("item_stays") }} as stays
    on restated.customer = stays.customer
    and restated.local_day >= stays.from_day
    and restated.local_day <= coalesce(stays.to_day, restated.local_day)
group by stays.customer, stays.meter, stays.dimensions, restated.local_day, stays.item
