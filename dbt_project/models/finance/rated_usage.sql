-- Grain: one line: a charge of a subscription in a segment, as it is priced now, with what was issued for it.
{{ config(materialized="view") }}
select
    lines.customer,
    lines.subscription,
    lines.plan,
    lines.charge,
    lines.value,
    case when lines.kind = 'usage' and lines.meter is null then 'fee' else lines.kind end as kind,
    lines.meter,
    lines.currency,
    lines.name as description,
    lines.due,
    lines.period_start,
    lines.period_end,
    lines."start" as service_start,
    lines."end" as service_end,
    lines.trial,
    lines.measured,
    lines.quantity,
    lines.unit,
    coalesce(lines.gross, lines.amount) as gross,
    cast(coalesce(lines.discount, 0) as decimal(38, 4)) as discount,
    cast(coalesce(lines.excess, 0) as decimal(38, 4)) as excess,
    cast(coalesce(lines.top_up, 0) as decimal(38, 4)) as top_up,
    lines.amount,
    lines.tax_category,
    case
        when issued.amount = lines.amount
        then 'issued'
        when issued.amount is not null
        then 'differs'
        when lines.period_end < customers.known_day
        then 'ended'
        else 'open'
    end as state,
    cast(coalesce(issued.amount, 0) as decimal(38, 4)) as issued,
    issued.document,
    lines.problems,
    lines.formula
from {{ source("record", "rated_lines") }} as lines
left join {{ source("control", "customers") }} as customers on lines.customer = customers.customer
left join
    {{ source("record", "issued_totals") }} as issued
    on lines.subscription = issued.subscription
    and lines.charge = issued.charge
    and lines.period_start = issued.period_start
    and lines."start" = issued."start"
    and lines.value = issued.value
