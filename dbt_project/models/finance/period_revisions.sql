-- Grain: customer, subscription, charge, period, currency, step. A closed period from what was billed to what is known.
{% set key = "customer, subscription, charge, period_start, currency" %}
with
    steps as (
        select
            lines.customer,
            lines.subscription,
            lines.charge,
            lines.period_start,
            lines.currency,
            max(lines.period_end) as period_end,
            'billed' as status,
            lines.number as document,
            documents.cut_off,
            documents.kind,
            coalesce(lines.corrects, '') as corrects,
            coalesce(lines.cause, '') as cause,
            sum(lines.amount) as amount
        from {{ source("record", "issued_lines") }} as lines
        inner join {{ source("record", "issued_documents") }} as documents on lines.number = documents.number
        where lines.subscription <> ''
        group by all
        union all
        select
            customer,
            subscription,
            charge,
            period_start,
            currency,
            max(period_end),
            status,
            '',
            null,
            null,
            corrects,
            cause,
            sum(amount)
        from {{ source("record", "open_differences") }}
        where subscription <> ''
        group by all
    ),
    placed as (
        select
            *,
            row_number() over (
                partition by {{ key }} order by cut_off nulls last, kind, document, corrects, cause, status
            ) as step
        from steps
    )

select
    customer,
    subscription,
    charge,
    period_start,
    max(period_end) over (partition by {{ key }}) as period_end,
    currency,
    step,
    status,
    document,
    cut_off,
    corrects,
    cause,
    cast(amount as decimal(38, 4)) as amount,
    cast(sum(amount) over (partition by {{ key }} order by step) as decimal(38, 4)) as running
from placed
