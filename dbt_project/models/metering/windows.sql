-- Grain: customer, meter, window length, first of `windows` windows of one value, one after the other. The values that
-- high watermarks choose from, over all endpoints, methods and dimensions. A window of nothing has no row.
{{ config(materialized="view") }}
select customer, meter, window_length, local_day, window_us, cast(1 as bigint) as windows, value
from {{ ref("event_windows") }}
union all
select customer, meter, window_length, local_day, window_us, windows, value
from {{ ref("carried_windows") }}
