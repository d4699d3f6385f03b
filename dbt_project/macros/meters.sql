{#
  The meters of this build: rows of `control.meters`, in the order of their names: meter, aggregation, combine,
  percentile. Those that carry a state from event to event are others than those that don't, also of one aggregation.
  Model text never changes with the catalog; the columns of the wide base fact do. Names are plain identifiers, checked
  when the catalog is read.
#}
{% macro meters(aggregations, carried=false) %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select meter, aggregation, combine, percentile from {{ source("control", "meters") }}
    where {{ "not " if not carried }}carried
    and aggregation in ({% for a in aggregations %}'{{ a }}'{{ ", " if not loop.last }}{% endfor %})
    order by meter
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{% endmacro %}

{# Meters whose charges need them `by_cell` or `by_event`: rows of meter, aggregation. #}
{% macro meters_in_parts(need) %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select meter, aggregation from {{ source("control", "meters") }} where {{ need }} order by meter
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{% endmacro %}

{# Names of the dimensions of a meter, sorted. #}
{% macro meter_dimensions(meter) %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select dimension from {{ source("control", "meter_dimensions") }} where meter = '{{ meter }}' order by dimension
    {%- endset -%}
    {{ return(run_query(query).columns[0].values()) }}
{% endmacro %}

{# The columns of a meter's dimensions, to group by them: each with a comma before it. #}
{% macro dimension_columns(meter) %}
    {%- for dimension in meter_dimensions(meter) %}, d_{{ dimension }} {% endfor -%}
{% endmacro %}

{# The columns of the dimensions that any of some meters has, each with a comma before it. #}
{% macro columns_of_dimensions(meters) %}
    {%- set names = [] -%}
    {%- for meter in meters %} {% do names.extend(meter_dimensions(meter[0])) %} {% endfor -%}
    {%- for dimension in names | unique | sort %}, d_{{ dimension }} {% endfor -%}
{% endmacro %}

{#
  A meter's dimensions as one text, a JSON object of the names, sorted, and the values, null where there is none: over
  the columns `d_<dimension>`.
#}
{% macro dimensions_json(meter) %}
    {%- set names = meter_dimensions(meter) -%}
    {%- if not names -%} '{}'
    {%- else -%}
        {%- for dimension in names -%}
            {{ " || " if not loop.first }}'{{ "{" if loop.first else "," }}"{{ dimension }}":'
            || {{ json_text("d_" ~ dimension) }}
        {%- endfor -%} || '}'
    {%- endif -%}
{% endmacro %}

{#
  The dimensions of the wide base fact, each for the events of the meters that have it, and no others: a dimension that
  comes with a new meter splits no rows that the meter doesn't touch.
#}
{% macro wide_dimensions() %}
    {%- set users = {} -%}
    {%- for meter in meters(wide_aggregations()) -%}
        {%- for dimension in meter_dimensions(meter[0]) -%}
            {%- do users.setdefault(dimension, []).append(meter[0]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for dimension in users | sort -%}
        ,
        case
            when
                {% for meter in users[dimension] %}
                    {{ "or " if not loop.first }}m_{{ meter }} is not null or u_{{ meter }} is not null
                {% endfor %}
            then d_{{ dimension }}
        end as d_{{ dimension }}
    {%- endfor -%}
{% endmacro %}

{# Aggregations whose hours are columns of the wide base fact, unless they carry. #}
{% macro wide_aggregations() %} {{ return(["count", "sum", "min", "max"]) }} {% endmacro %}

{# NULL where the meter took nothing: a new meter leaves the rows that it doesn't touch as they would be. #}
{% macro meter_aggregates() %}
    {%- set counted = meters_in_parts("by_cell") | selectattr(1, "equalto", "sum") | map(attribute=0) | list -%}
    {%- for meter in meters(wide_aggregations()) %}
        ,
        cast({{ wide_aggregate(meter[1]) }} (m_{{ meter[0] }}) as decimal(38, 9)) as m_{{ meter[0] }},
        nullif(count(u_{{ meter[0] }}), 0) as u_{{ meter[0] }}
        {%- if meter[0] in counted %}, nullif(count(m_{{ meter[0] }}), 0) as n_{{ meter[0] }} {% endif -%}
    {%- endfor %}
{% endmacro %}

{% macro wide_aggregate(aggregation) %}
    {{ return(aggregation if aggregation in ("min", "max") else "sum") }}
{% endmacro %}
