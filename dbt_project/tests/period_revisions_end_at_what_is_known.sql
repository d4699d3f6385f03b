-- What was billed of the lines that documents show, and what differs, is what these lines cost as known now.
{{ config(meta={"dagster": {"ref": {"name": "period_revisions"}}}) }}
{% set line = "subscription, charge, period_start" %}
with
    known as (
        select issued.subscription, issued.charge, issued.period_start, sum(coalesce(lines.amount, 0)) as amount
        from {{ source("record", "issued_totals") }} as issued
        left join
            {{ source("record", "rated_lines") }} as lines
            on issued.subscription = lines.subscription
            and issued.charge = lines.charge
            and issued.period_start = lines.period_start
            and issued."start" = lines."start"
            and issued.value = lines.value
            -- What was taken back costs nothing, until it is billed anew.
            and json_extract_string(issued.standing, '$.void') = ''
        where issued.subscription <> ''
        group by all
    ),
    steps as (select {{ line }}, sum(amount) as amount from {{ ref("period_revisions") }} group by all)

select {{ line }}, known.amount as known, steps.amount as steps
from known
full outer join steps using ({{ line }})
where coalesce(known.amount, 0) <> coalesce(steps.amount, 0)
