-- A document adds up: subtotal, total and amount due, in one currency; no line is without its document.
{{ config(meta={"dagster": {"ref": {"name": "invoice_lines"}}}) }}
with lines as (select number, currency, sum(amount) as amount from {{ ref("invoice_lines") }} group by number, currency)

select
    coalesce(documents.number, lines.number) as number,
    documents.currency,
    documents.subtotal,
    documents.tax,
    documents.total,
    lines.amount as sum_of_lines
from {{ ref("invoices") }} as documents
full outer join lines on documents.number = lines.number and documents.currency = lines.currency
where
    documents.subtotal is distinct from lines.amount
    or documents.total
    is distinct from documents.subtotal
    - documents.coupon_total
    - documents.promotional_total
    + documents.tax
    or documents.amount_due is distinct from documents.total - documents.credit_note_total - documents.prepaid_total
