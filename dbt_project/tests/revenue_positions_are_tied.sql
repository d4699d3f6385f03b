-- At every cut-off, what is accrued less what is deferred is what was earned less what was billed; what was billed is what
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
        select {{ key }}, issue_date + 1 as cut_off, sum(total - tax) as of_documents
        from {{ ref("invoices") }}
        group by all
    ),
    unbilled as (select {{ key }}, sum(unbilled) as unbilled from {{ ref("unbilled_daily") }} group by all)

select {{ key }}, cut_off, positions.* exclude ({{ key }}, cut_off), documents.of_documents, unbilled
from positions
full outer join documents using ({{ key }}, cut_off)
left join unbilled using ({{ key }})
where
    wrong is distinct from 0
    or positions.billed_anew <> coalesce(of_documents, 0)
    or (place = 1 and earned <> billed + coalesce(unbilled, 0))
