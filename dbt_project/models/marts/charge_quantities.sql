-- Grain: line (charge and segment), local day and quantity. What pricing reads: the day decides the price version.
-- `rank` is set for items that are added and removed, whose quantity is days; `window_us` where the quantity is a
-- mark: the window that set it.
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="lines", touched_keys=["line_id"]
) }}
{% for model in ["quantities_by_day", "quantities_of_readings", "quantities_of_distinct"] %}
    select
        line_id,
        local_day,
        quantity,
        cast(null as bigint) as window_us,
        cast(1 as bigint) as windows,
        cast(null as bigint) as rank
    from {{ ref(model) }}
    union all
{% endfor %}
select line_id, local_day, quantity, cast(null as bigint) as window_us, cast(1 as bigint) as windows, rank
from {{ ref("quantities_of_items") }}
union all
select line_id, local_day, quantity, window_us, windows, cast(null as bigint) as rank
from {{ ref("quantities_of_windows") }}
