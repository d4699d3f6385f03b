-- Grain: one row per customer and local day whose usage may change: the days that are read again.
{{ config(materialized="table") }} select customer, local_day from {{ ref("touched_days") }}
