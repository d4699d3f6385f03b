-- Grain: kind, customer, currency, month in which something was left or moved. Its credits from opening to closing.
{{ config(materialized="view") }}
select kind, customer, currency, month, opening, granted, used, expired, returned, closing
from {{ source("record", "roll_forward") }}
