-- Grain: customer, seller, currency, end of the billing period, original that it corrects. What an invoice would say
-- today; nothing is issued.
{% set key = "entity, customer, currency, cut_off, corrects" %}
with
    ahead as (
        select
            {% for column in key.split(", ") %} lines.{{ column }}, {% endfor %}
            sum(rated.forecast - rated.amount) as rest,
            {% for end in ["low", "high"] %}
                {#- Above 10^13 a spread is left out: sums of squares have to fit. Two factors of at most 18 digits have
                a product of 18 here, so they are cast to one more. -#}
                {%- set half = "try_cast(rated.forecast_" ~ end ~ " - rated.forecast as decimal(17, 4))" %}
                {%- set half = "cast(" ~ half ~ " as decimal(19, 4))" %}
                sqrt(sum({{ half }} * {{ half }})) as {{ end }}{{ "," if not loop.last }}
            {% endfor %}
        from {{ source("record", "draft_lines") }} as lines
        inner join
            {{ source("record", "rated_lines") }} as rated
            on lines.subscription = rated.subscription
            and lines.charge = rated.charge
            and lines.period_start = rated.period_start
            and lines.segment_start = rated."start"
            and lines.value = rated.value
        where lines.kind <> 'correction' and rated.forecast is not null
        group by all
    )

select
    {{ key }},
    lines,
    subtotal,
    total,
    expected,
    cast(subtotal + expected + coalesce(rest, 0) as decimal(38, 4)) as forecast,
    cast(subtotal + expected + coalesce(rest, 0) - coalesce(low, 0) as decimal(38, 4)) as forecast_low,
    cast(subtotal + expected + coalesce(rest, 0) + coalesce(high, 0) as decimal(38, 4)) as forecast_high
from {{ source("record", "draft_documents") }}
left join ahead using ({{ key }})
