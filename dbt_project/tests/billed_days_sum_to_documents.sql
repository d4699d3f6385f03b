-- The days of each line of a document sum to it, before and after what coupons and credits took off, and its lines to
-- what the document says: net is the total less tax.
{{ config(meta={"dagster": {"ref": {"name": "billed_daily"}}}) }}
with
    days as (
        select
            number, position, sum(amount) as amount, sum(net) as net, count(*) - count(distinct local_day) as days_twice
        from {{ ref("billed_daily") }}
        where number not like 'journal-%'
        group by all
    ),
    lines as (
        select
            coalesce(lines.number, days.number) as number,
            coalesce(lines.amount, 0) <> coalesce(days.amount, 0)
            or lines.number is null
            or coalesce(days.days_twice, 0) > 0 as wrong,
            coalesce(days.net, 0) as net
        from {{ ref("invoice_lines") }} as lines
        full outer join days on lines.number = days.number and lines.position = days.position
    ),
    documents as (
        select number, sum(net) as net, sum(case when wrong then 1 else 0 end) as wrong from lines group by all
    )

select number, invoices.total - invoices.tax as net, documents.net as of_days, documents.wrong
from {{ ref("invoices") }} as invoices
full outer join documents using (number)
where invoices.total - invoices.tax is distinct from documents.net or documents.wrong > 0
