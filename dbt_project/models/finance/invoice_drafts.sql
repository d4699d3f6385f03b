-- Grain: customer, seller, currency, end of the billing period. What an invoice would say today; nothing is issued.
select entity, customer, currency, cut_off, lines, total, expected from {{ source("record", "draft_documents") }}
