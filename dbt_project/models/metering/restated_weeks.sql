-- Grain: one row per customer and local week (its Monday) that has a day whose usage may change.
{{ config(materialized="table") }}
select distinct customer, {{ week_start("local_day") }} as week_start
from {{ ref("restated_days") }}
