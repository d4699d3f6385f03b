-- Grain: customer, seller, currency, end of the billing period, original that it corrects. Nothing is issued.
select
    entity,
    customer,
    currency,
    cast(cut_off as date) as cut_off,
    corrects,
    lines,
    cast(subtotal as decimal(38, 4)) as subtotal,
    cast(total as decimal(38, 4)) as total
from {{ source("record", "draft_documents") }}
