-- Grain: one issued document. The record is the ledger; this is its copy for queries.
select
    number,
    kind,
    entity,
    customer,
    currency,
    issue_date,
    due_date,
    cut_off,
    subtotal,
    coupon_total,
    promotional_total,
    tax,
    total,
    credit_note_total,
    prepaid_total,
    amount_due,
    sha256
from {{ source("record", "issued_documents") }}
