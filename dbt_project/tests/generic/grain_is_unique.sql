{#
  One row per combination of `columns`, none of them missing but the `nullable`. With `dimensions` those of the wide base
  fact belong to it. With `touched` (days, weeks or months), only those of a customer that this build wrote: the rest was
  tested when it was written. `known` has the values that columns of text may have, here and in every other row; a
  result's `unknown_<column>` says in how many rows the column has another one. With `bounded`, the first and the last of
  what is touched are looked up before: literals are carried into the parts of a view, which a join is not. With `only`,
  a condition, the other rows are left alone.
#}
{% test grain_is_unique(model, columns, nullable=[], dimensions=false, touched=none, known={}, bounded=false, only="") %}
    {% set touched = "days" if touched is sameas true else touched %}
    {% set more = columns_of_dimensions(meters(wide_aggregations())) if dimensions else "" %}
    {% set unknown = {} %}
    {% for column, values in known.items() %}
        {% do unknown.update({column: column ~ " not in ('" ~ values | join("', '") ~ "')"}) %}
    {% endfor %}
    select
        {{ columns | join(", ") }} {{ more }},
        count(*) as copies
        {% for column, other in unknown.items() %}
            , count(case when {{ other }} then 1 end) as unknown_{{ column }}
        {% endfor %}
    from
        {% if touched %} {{ written(model, touched, unknown.values() | list, bounded) }}
        {% elif only %} (select * from {{ model }} where {{ only }})
        {% else %} {{ model }}
        {% endif %} as tested
    group by {{ columns | join(", ") }} {{ more }}
    having
        count(*) > 1
        {% for column in columns if column not in nullable %} or {{ column }} is null {% endfor %}
        {% for other in unknown.values() %} or count(case when {{ other }} then 1 end) > 0 {% endfor %}
{% endtest %}
