-- Grain: customer, meter, dimensions, local day, distinct value. Values that events of the day name, and items that are
-- there on it: what every count of distinct values is made of.
{{ config(materialized="view") }}
select customer, meter, dimensions, local_day, value_key, events
from {{ ref("distinct_daily") }}
union all
select customer, meter, dimensions, local_day, value_key, events
from {{ ref("items_daily") }}
