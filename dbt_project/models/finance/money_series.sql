-- Grain: customer, currency, cut-off. What a customer's next documents would come to, beside what was issued for it by
-- earlier cut-offs, and how many incidents of it nobody has labelled.
{{ config(materialized="view") }}
with
    issued as (
        select customer, currency, cut_off, cast(sum(total) as decimal(38, 4)) as total
        from {{ source("record", "issued_documents") }}
        group by customer, currency, cut_off
    ),

    drafts as (
        select customer, currency, cut_off, cast(sum(total) as decimal(38, 4)) as total
        from {{ source("record", "draft_documents") }}
        group by customer, currency, cut_off
    ),

    unlabelled as (
        select customer, count(*) as incidents
        from {{ source("watched", "incidents") }}
        where label is null
        group by customer
    )

select
    drafts.customer,
    drafts.currency,
    drafts.cut_off,
    drafts.total,
    count(issued.total) as earlier,
    min(issued.total) as least_earlier,
    max(issued.total) as greatest_earlier,
    max_by(issued.total, issued.cut_off) as last_earlier,
    coalesce(max(unlabelled.incidents), 0) as unlabelled_incidents
from drafts
left join
    issued
    on drafts.customer = issued.customer
    and drafts.currency = issued.currency
    and issued.cut_off < drafts.cut_off
left join unlabelled on drafts.customer = unlabelled.customer
group by drafts.customer, drafts.currency, drafts.cut_off, drafts.total
