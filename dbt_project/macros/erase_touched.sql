{#
  Incremental means: what new input touched is erased and written again, whole. `touched_by` names the table that
  holds the touched keys, `touched_keys` its columns. Deleting by the touched keys, and not by the keys of the new
  rows, also removes rows that have no successor.
#}
{% macro get_incremental_erase_touched_sql(arg_dict) %}
    {%- set target = arg_dict["target_relation"] -%}
    {%- set columns = get_quoted_csv(adapter.get_columns_in_relation(target) | map(attribute="name")) -%}
    {%- set keys = config.require("touched_keys") -%}
    delete from {{ target }}
    where
        exists (
            select 1
            from {{ touched_relation() }} as touched
            where
                {% for key in keys %}
                    {{ "and " if not loop.first }}touched.{{ key }} = {{ target }}.{{ key }}
                {% endfor %}
        )
    ;
  insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ arg_dict["temp_relation"] }};
{% endmacro %}

{% macro touched_relation() %}
    {%- set by = config.require("touched_by") -%}
    {%- if by == "days" -%} {{ ref("touched_days") }}
    {%- elif by == "restated_days" -%} {{ ref("restated_days") }}
    {%- elif by == "restated_weeks" -%} {{ ref("restated_weeks") }}
    {%- elif by == "restated_months" -%} {{ ref("restated_months") }}
    {%- else -%} {{ source("control", "new_files") }}
    {%- endif -%}
{% endmacro %}
