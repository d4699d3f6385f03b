-- At every cut-off, what is accrued less what is deferred is what was earned less what was billed; what was billed is
-- what
-- the documents dated before it say; at the last, all is earned that documents bill and that lines are yet to.
{{ config(meta={"dagster": {"ref": {"name": "revenue_positions"}}}) }}
{% set key = "entity, currency" %}
with
    positions as (
        select
            {{ key }},
            cut_off,
            sum(earned) as earned,
            sum(billed) as billed,
            sum(billed) - coalesce(lag(sum(billed)) over (partition by {{ key }} order by cut_off), 0) as billed_anew,
            sum(case when accrued - deferred = earned - billed then 0 else 1 end) as wrong,
            row_number() over (partition by {{ key }} order by cut_off desc) as place
        from {{ ref("revenue_positions") }}
        group by {{ key }}, cut_off
    ),
    documents as (
        select {{ key }}, issue_date + 1 as cut_off, sum(total - tax) as billed_anew
        from {{ ref("invoices") }}
        group by all
    ),
    ends as (select currency, sum(earned - billed) as not_billed from positions where place = 1 group by currency),
    unbilled as (select currency, sum(unbilled) as unbilled from {{ ref("revenue_daily") }} group by currency)

select {{ key }}, cut_off, wrong, positions.billed_anew as of_positions, documents.billed_anew as of_documents
from positions
full outer join documents using ({{ key }}, cut_off)
where wrong is distinct from 0 or positions.billed_anew <> coalesce(documents.billed_anew, 0)
union all
select null, currency, null, null, ends.not_billed, unbilled.unbilled
from ends
full outer join unbilled using (currency)
where coalesce(ends.not_billed, 0) <> coalesce(unbilled.unbilled, 0)
