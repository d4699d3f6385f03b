-- Grain: line (charge and segment), local day, part and quantity. What pricing reads: the day decides the price
-- version.
-- `rank` is set for items that are added and removed, whose quantity is days; `window_us` where the quantity is a
-- mark: the window that set it. `value`, `cell`, `hour_us` and `part` tell apart what is priced apart.
-- depends_on: {{ ref("metered_hours") }}
{{ config(
    materialized="incremental", incremental_strategy="erase_touched", on_schema_change="fail",
    touched_by="lines", touched_keys=["line_id"]
) }}
{% set lines, prices = ref("touched_segments"), source("control", "line_prices") %}
{% set one_part -%} '' as cell, cast(null as bigint) as hour_us, cast(0 as bigint) as events, 'units' as part {%- endset %}
{% set whole -%} '' as value, {{ one_part }} {%- endset %}
{% for model in ["quantities_by_day", "quantities_of_readings"] %}
    select
        line_id,
        local_day,
        quantity,
        cast(null as bigint) as window_us,
        cast(1 as bigint) as windows,
        cast(null as bigint) as rank,
        {{ whole }}
    from {{ ref(model) }}
    union all
{% endfor %}
select
    line_id,
    local_day,
    quantity,
    cast(null as bigint) as window_us,
    cast(1 as bigint) as windows,
    cast(null as bigint) as rank,
    value,
    {{ one_part }}
from {{ ref("quantities_of_distinct") }}
union all
select line_id, local_day, quantity, cast(null as bigint) as window_us, cast(1 as bigint) as windows, rank, {{ whole }}
from {{ ref("quantities_of_items") }}
union all
select line_id, local_day, quantity, window_us, windows, cast(null as bigint) as rank, {{ whole }}
from {{ ref("quantities_of_windows") }}
{% for rows in [
    event_parts(lines, ref("event_values"), prices),
    cell_parts(
        lines,
        "(" ~ usage_by_cell(lines, ref("metered_hours")) ~ ")",
        prices,
        source("control", "matrix_cells"),
        source("control", "split_dimensions"),
    ),
] %}
    union all
    select
        line_id,
        local_day,
        quantity,
        cast(null as bigint) as window_us,
        cast(1 as bigint) as windows,
        cast(null as bigint) as rank,
        value,
        cell,
        hour_us,
        events,
        part
    from ({{ rows }}) as parts
{% endfor %}
