{# The columns that tell of a request what it asks for (`item`) and where it comes from (`origin`). #}
{% macro watching() %}
    {%- set found = run_query("select item, origin from " ~ source("control", "watching")).rows if execute else [] -%}
    {{ return({"item": found[0][0], "origin": found[0][1]} if found else {"item": "path", "origin": "network"}) }}
{% endmacro %}

{# Measures of a series that add up over moments, customers, credentials and endpoints. #}
{% macro added_up() %}
    {{ return([
        "requests", "denied", "refused", "client_errors", "server_errors", "unknown_paths", "retries", "latency_events"
    ]) }}
{% endmacro %}

{# Measures that count different values: right within their own row, and nowhere else. #}
{% macro counted_apart() %} {{ return(["endpoints", "users", "addresses", "items"]) }} {% endmacro %}

{# What a part makes of a whole, in percent, to four places; NULL of nothing. #}
{% macro percent_of(part, whole) %}
    cast({{ whole_divide("(" ~ part ~ ") * 1000000", "nullif(" ~ whole ~ ", 0)") }} as decimal(9, 0))
    * cast('0.0001' as decimal(4, 4))
{% endmacro %}

{# The columns of an event that hold what it adds to each meter that adds up. #}
{% macro summed_columns() %}
    {%- set found = [] -%}
    {% for meter in meters(["count", "sum"]) %} {% do found.append("m_" ~ meter[0]) %} {% endfor %}
    {{ return(found) }}
{% endmacro %}

{#
  An amount by a quantity, to eight places, rounded towards 0; NULL of nothing. In whole numbers: the amount in units of
  10 to the -17, by the quantity in units of 10 to the -9. It fails where there are more digits than fit.
#}
{% macro exact_quotient(amount, quantity) %}
    cast(
        {{ whole_divide(
            "cast(" ~ amount ~ " * 10000 as hugeint) * 10000000000000",
            "nullif(cast(cast(" ~ quantity ~ " as decimal(38, 9)) * 1000000000 as hugeint), 0)"
        ) }} as decimal(28, 0)
    )
    * cast('0.00000001' as decimal(8, 8))
{% endmacro %}

{#
  What a part of a quantity has of an amount, to four places, rounded towards 0: multiplied first, since a unit may cost
  less than any place that is kept. Where that has too many digits, by the unit; NULL where even this has.
#}
{% macro share_of(amount, part, whole) %}
    {% set units = "cast(cast(" ~ part ~ " as decimal(38, 9)) * 1000000000 as hugeint)" %}
    {% set all = "nullif(cast(cast(" ~ whole ~ " as decimal(38, 9)) * 1000000000 as hugeint), 0)" %}
    coalesce(
        try(
            cast({{ whole_divide("cast(" ~ amount ~ " * 10000 as hugeint) * " ~ units, all) }} as decimal(34, 0))
            * cast('0.0001' as decimal(4, 4))
        ),
        try(cast({{ part }} * {{ exact_quotient(amount, whole) }} as decimal(38, 4)))
    )
{% endmacro %}
