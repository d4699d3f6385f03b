-- Grain: one row per customer and local month (its first day) that has a day whose usage may change.
{{ config(materialized="table") }}
select distinct customer, {{ month_start("local_day") }} as month_start
from {{ ref("restated_days") }}
