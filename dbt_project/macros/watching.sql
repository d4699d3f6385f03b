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
