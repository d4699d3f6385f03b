-- Grain: one line of a draft. `kind` is usage, fee, or correction of what was issued for a closed period.
select
    entity,
    customer,
    cut_off,
    kind,
    subscription,
    plan,
    charge,
    value,
    meter,
    currency,
    description,
    period_start,
    period_end,
    segment_start as service_start,
    segment_end as service_end,
    quantity,
    unit,
    amount,
    expected,
    formula
from {{ source("record", "draft_lines") }}
