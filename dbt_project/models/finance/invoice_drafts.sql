-- Grain: customer, seller, currency, end of the billing period. What an invoice would say today; nothing is issued.
select entity, customer, currency, cast(cut_off as date) as cut_off, lines, cast(total as decimal(38, 4)) as total
from {{ source("record", "draft_documents") }}
