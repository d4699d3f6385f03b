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
