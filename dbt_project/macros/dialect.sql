{# Everything that engines spell differently, in one file. #}
{% macro whole_divide(numerator, denominator) %}
    {{ return(adapter.dispatch("whole_divide", "tallystick")(numerator, denominator)) }}
{% endmacro %}
{% macro default__whole_divide(numerator, denominator) %} (({{ numerator }}) div({{ denominator }})) {% endmacro %}
{# `divide` is DuckDB's operator of two slashes, which tools that format SQL take for a comment. #}
{% macro duckdb__whole_divide(numerator, denominator) %} divide({{ numerator }}, {{ denominator }}) {% endmacro %}

{% macro day_of_epoch(days) %} {{ return(adapter.dispatch("day_of_epoch", "tallystick")(days)) }} {% endmacro %}
{% macro default__day_of_epoch(days) %} date_add(date '1970-01-01', cast({{ days }} as int)) {% endmacro %}
{% macro duckdb__day_of_epoch(days) %}(date '1970-01-01' + cast({{ days }} as integer)) {% endmacro %}

{% macro instant_of_us(us) %} {{ return(adapter.dispatch("instant_of_us", "tallystick")(us)) }} {% endmacro %}
{% macro default__instant_of_us(us) %} timestamp_micros({{ us }}) {% endmacro %}
{% macro duckdb__instant_of_us(us) %} make_timestamp({{ us }}) {% endmacro %}

{# Monday of the ISO week, and first day of the month, of a DATE. No time zone is involved. #}
{% macro week_start(day) %} cast({{ dbt.date_trunc("week", day) }} as date) {% endmacro %}
{% macro month_start(day) %} cast({{ dbt.date_trunc("month", day) }} as date) {% endmacro %}
