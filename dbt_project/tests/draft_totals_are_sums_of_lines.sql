-- The subtotal of a draft is the sum of its lines, and it has as many lines as it says.
{{ config(meta={"dagster": {"ref": {"name": "invoice_draft_lines"}}}) }}
with
    lines as (
        select
            entity,
            customer,
            currency,
            cut_off,
            corrects,
            count(*) as lines,
            sum(amount) as amount,
            sum(expected) as expected
        from {{ ref("invoice_draft_lines") }}
        group by entity, customer, currency, cut_off, corrects
    )

select
    coalesce(drafts.customer, lines.customer) as customer,
    coalesce(drafts.currency, lines.currency) as currency,
    coalesce(drafts.cut_off, lines.cut_off) as cut_off,
    drafts.subtotal,
    lines.amount as sum_of_lines
from {{ ref("invoice_drafts") }} as drafts
full outer join
    lines
    on drafts.entity = lines.entity
    and drafts.customer = lines.customer
    and drafts.currency = lines.currency
    and drafts.cut_off = lines.cut_off
    and drafts.corrects = lines.corrects
where
    drafts.subtotal is distinct from lines.amount
    or drafts.expected is distinct from lines.expected
    or drafts.lines is distinct from lines.lines
