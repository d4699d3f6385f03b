{# How many lookups a path may take to find its route: rows of `control.route_slots`. #}
{% macro route_slots() %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {{ return(run_query("select slot from " ~ source("control", "route_slots") ~ " order by slot").columns[0].values()) }}
{% endmacro %}
