{#
  The meters of this build: rows of `control.meters`, in the order of their names. Model text never changes with the
  catalog; the columns of the wide base fact do. Names are plain identifiers, checked when the catalog is read.
#}
{% macro meters(aggregations) %}
    {%- if not execute -%} {{ return([]) }}{%- endif -%}
    {%- set query -%}
    select meter, aggregation from {{ source("control", "meters") }}
    where aggregation in ({% for a in aggregations %}'{{ a }}'{{ ", " if not loop.last }}{% endfor %})
    order by meter
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{% endmacro %}

{% macro meter_aggregates(aggregations) %}
    {%- for meter in meters(aggregations) %}
        ,
        {{ "max" if meter[1] == "max" else "sum" }} (m_{{ meter[0] }}) as m_{{ meter[0] }},
        nullif(sum(u_{{ meter[0] }}), 0) as u_{{ meter[0] }}
    {%- endfor %}
{% endmacro %}
