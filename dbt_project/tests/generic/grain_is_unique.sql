{#
  One row per combination of `columns`, none of them missing but the `nullable`. With `touched`, only the customers and
  days that this build wrote: the rest was tested when it was written.
#}
{% test grain_is_unique(model, columns, nullable=[], touched=false) %}
    select {{ columns | join(", ") }}, count(*) as copies
    from {{ model }} as tested
    {% if touched %}
        where
            exists (
                select 1
                from {{ source("control", "touched_days") }} as touched
                where touched.customer = tested.customer and touched.local_day = tested.local_day
            )
    {% endif %}
    group by {{ columns | join(", ") }}
    having count(*) > 1 {% for column in columns if column not in nullable %} or {{ column }} is null {% endfor %}
{% endtest %}
