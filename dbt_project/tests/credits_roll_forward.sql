-- opening + granted - used - expired - returned = closing, each opening is the closing before it, nothing is below
-- zero; what was granted, used and is left is what the catalog and the documents say.
{{ config(meta={"dagster": {"ref": {"name": "credit_roll_forward"}}}) }}
{% set key = "kind, customer, currency" %}
with
    months as (
        select
            *,
            coalesce(lag(closing) over (partition by {{ key }} order by month), 0) as closed_before,
            row_number() over (partition by {{ key }} order by month desc) as place
        from {{ ref("credit_roll_forward") }}
    ),
    rolled as (
        select
            {{ key }},
            sum(granted) as granted,
            sum(used) as used,
            sum(case when place = 1 then closing else 0 end) as remaining,
            sum(case when opening = closed_before and closing >= 0 then 0 else 1 end) as breaks,
            sum(case when closing = opening + granted - used - expired - returned then 0 else 1 end) as wrong_sums
        from months
        group by all
    ),
    books as (
        select {{ key }}, sum(granted) as granted, sum(used) as used, sum(remaining) as remaining
        from
            (
                select
                    credits.kind,
                    credits.customer,
                    credits.currency,
                    credits.amount as granted,
                    0 as used,
                    case
                        when refunds.document is null and coalesce(credits.expires > books.today, true)
                        then credits.remaining
                        else 0
                    end as remaining
                from {{ ref("credits") }} as credits
                cross join {{ source("record", "books") }} as books
                left join
                    {{ source("record", "refunds") }} as refunds
                    on credits.kind = 'credit_note'
                    and credits.id = refunds.document
                where credits.granted <= books.today or credits.documents > 0
                union all
                select used.kind, documents.customer, documents.currency, 0, used.amount, 0
                from {{ source("record", "issued_reductions") }} as used
                inner join {{ source("record", "issued_documents") }} as documents on used.number = documents.number
            ) as moved
        group by all
    )

select {{ key }}, rolled.* exclude ({{ key }}), books.* exclude ({{ key }})
from rolled
full outer join books using ({{ key }})
where
    coalesce(rolled.breaks + rolled.wrong_sums, 0) > 0
    or coalesce(rolled.used, 0) <> coalesce(books.used, 0)
    or (kind <> 'coupon' and coalesce(rolled.granted, 0) <> coalesce(books.granted, 0))
    or (kind <> 'coupon' and coalesce(rolled.remaining, 0) <> coalesce(books.remaining, 0))
