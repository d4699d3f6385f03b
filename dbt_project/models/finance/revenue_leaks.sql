-- Grain: kind, what, customer, meter, day, currency. Usage that no document bills, with what it may be worth.
{{ config(materialized="view") }}
select
    kind,
    what,
    customer,
    meter,
    day,
    age_days,
    age,
    occurrences,
    counted,
    quantity,
    currency,
    list_price,
    value,
    valued_at,
    no_value
from {{ source("record", "leaks") }}
