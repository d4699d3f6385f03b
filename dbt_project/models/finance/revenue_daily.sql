-- Grain: line and local day of service on which it earns or earned something. `amount` = `billed` + `unbilled`.
{{ config(materialized="view") }}
{% set key = ["subscription", "charge", "period_start", "start", "value"] %}
with
    lines as (
        select
            {% for column in key %} lines."{{ column }}", {% endfor %}
            lines.customer,
            lines.plan,
            lines.meter,
            lines.currency,
            cast(lines.daily as decimal(38, 4)[]) as amounts,
            case
                when billed.daily is not null
                then cast(billed.daily as decimal(38, 4)[])
                when issued.amount is not null
                then cast(lines.daily as decimal(38, 4)[])
                else []
            end as billed
        from {{ source("record", "rated_lines") }} as lines
        left join
            {{ source("record", "issued_totals") }} as issued
            on {% for column in key %}
                {{ "and " if not loop.first }}lines."{{ column }}" = issued."{{ column }}"
            {% endfor %}
        left join
            {{ source("record", "billed_days") }} as billed
            on {% for column in key %}
                {{ "and " if not loop.first }}lines."{{ column }}" = billed."{{ column }}"
            {% endfor %}
        union all
        -- What was billed for lines that no longer exist.
        select
            {% for column in key %} billed."{{ column }}", {% endfor %}
            billed.customer,
            null,
            null,
            billed.currency,
            [],
            cast(billed.daily as decimal(38, 4)[])
        from {{ source("record", "billed_days") }} as billed
        anti join
            {{ source("record", "rated_lines") }} as lines
            on {% for column in key %}
                {{ "and " if not loop.first }}lines."{{ column }}" = billed."{{ column }}"
            {% endfor %}
    ),
    days as (select *, unnest(range(greatest(len(amounts), len(billed)))) as place from lines)

select
    customer,
    subscription,
    plan,
    charge,
    value,
    meter,
    currency,
    period_start,
    "start" as service_start,
    cast("start" + cast(place as integer) as date) as local_day,
    cast(coalesce(billed[place + 1], 0) as decimal(38, 4)) as billed,
    cast(coalesce(amounts[place + 1], 0) - coalesce(billed[place + 1], 0) as decimal(38, 4)) as unbilled,
    cast(coalesce(amounts[place + 1], 0) as decimal(38, 4)) as amount
from days
where coalesce(amounts[place + 1], 0) <> 0 or coalesce(billed[place + 1], 0) <> 0
