-- Grain: one issued document. The record is the ledger; this is its copy for queries.
select
    number,
    kind,
    entity,
    customer,
    currency,
    cast(issue_date as date) as issue_date,
    cast(due_date as date) as due_date,
    cast(cut_off as date) as cut_off,
    cast(subtotal as decimal(38, 4)) as subtotal,
    cast(coupon_total as decimal(38, 4)) as coupon_total,
    cast(promotional_total as decimal(38, 4)) as promotional_total,
    cast(tax as decimal(38, 4)) as tax,
    cast(total as decimal(38, 4)) as total,
    cast(credit_note_total as decimal(38, 4)) as credit_note_total,
    cast(prepaid_total as decimal(38, 4)) as prepaid_total,
    cast(amount_due as decimal(38, 4)) as amount_due,
    sha256
from {{ source("record", "issued_documents") }}
