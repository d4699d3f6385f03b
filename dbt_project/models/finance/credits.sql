-- Grain: one grant of credit, or one credit note that pays later documents; with what issued documents used of it.
{{ config(materialized="view") }}
with
    given as (
        select id, customer, kind, currency, amount, granted, expires, priority
        from {{ source("record", "grants") }}
        union all
        select number, customer, 'credit_note', currency, - total, issue_date, null, null
        from {{ source("record", "issued_documents") }}
        where kind = 'credit_note'
    ),
    used as (
        select kind, id, sum(amount) as amount, count(distinct number) as documents
        from {{ source("record", "issued_reductions") }}
        group by kind, id
    )

select
    given.kind,
    given.id,
    given.customer,
    given.currency,
    given.granted,
    given.expires,
    given.priority,
    cast(given.amount as decimal(38, 4)) as amount,
    cast(coalesce(used.amount, 0) as decimal(38, 4)) as used,
    cast(given.amount - coalesce(used.amount, 0) as decimal(38, 4)) as remaining,
    coalesce(used.documents, 0) as documents
from given
left join used on given.kind = used.kind and given.id = used.id
