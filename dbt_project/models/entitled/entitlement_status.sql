-- Grain: subscription, meter, window's length, kind. What was used of what may be used, as of this generation.
{{ config(materialized="view") }}
select
    customer,
    subscription,
    plan,
    meter,
    per,
    kind,
    window_start,
    window_end,
    "limit",
    used,
    remaining,
    percent,
    alerts,
    reached,
    forecast,
    over,
    cast(overage as map(varchar, decimal(38, 4))) as overage
from {{ source("record", "entitlement_status") }}
