{#
  How relations are made, in place of the adapter's own ways. Those make each relation under another name and swap it
  in, for readers who are not to notice; a build has no readers before it is published, and each of their statements
  costs as much as the model itself where there are few rows. The project has no hooks, grants, indexes or comments in
  the database, so they aren't looked for.
#}
{% materialization table, adapter="duckdb" %} {{ return(made_anew("table", sql)) }} {% endmaterialization %}

{% materialization view, adapter="duckdb" %} {{ return(made_anew("view", sql)) }} {% endmaterialization %}

{# The rows of what was touched, written again; everything where there is no table yet, or a full refresh is asked for. #}
{% materialization incremental, adapter="duckdb" %}
    {%- set existing, target = load_cached_relation(this), this.incorporate(type="table") -%}
    {% if existing is none or not existing.is_table or should_full_refresh() %}
        {{ return(made_anew("table", sql)) }}
    {% endif %}
    {#- The rows come from a table of their own, as a model may read what it wrote before. -#}
    {%- set rows = make_temp_relation(target) -%}
    {% do run_query(create_table_as(true, rows, sql)) %}
    {%- set columns, wanted = columns_of(target), columns_of(rows) -%}
    {% if columns != wanted %}
        {% do process_schema_changes(config.require("on_schema_change"), rows, target) %} {%- set columns = wanted -%}
    {% endif %}
    {%- set strategy = adapter.get_incremental_strategy_macro(context, config.require("incremental_strategy")) -%}
    {% call statement("main") %}
        {{ strategy({"target_relation": target, "temp_relation": rows, "dest_columns": columns.keys() | list}) }}
        drop table {{ rows }};
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{# Replaces whatever has the model's name, within one transaction. #}
{% macro made_anew(type, sql) %}
    {%- set existing, target = load_cached_relation(this), this.incorporate(type=type) -%}
    {% if existing is not none and existing.type != type %} {% do adapter.drop_relation(existing) %} {% endif %}
    {% call statement("main") %}
        drop {{ type }} if exists {{ target }};
        {{ create_table_as(false, target, sql) if type == "table" else create_view_as(target, sql) }}
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({"relations": [target]}) }}
{% endmacro %}

{# Types of a relation's columns, by name. #}
{% macro columns_of(relation) %}
    {%- set types = {} -%}
    {% for column in adapter.get_column_schema_from_query("from " ~ relation) %}
        {% do types.update({column.name: column.dtype}) %}
    {% endfor %}
    {{ return(types) }}
{% endmacro %}
