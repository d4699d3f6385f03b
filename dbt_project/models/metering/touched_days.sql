-- Grain: one row per customer and local day that a file new to this generation has events on.
-- Everything below is erased and written again for these days, and for no others.
{{ config(materialized="table") }}
select distinct customer, local_day
from {{ ref("stg_events") }}
where customer is not null and file_id in (select file_id from {{ source("control", "new_files") }})
