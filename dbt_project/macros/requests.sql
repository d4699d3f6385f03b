{#
  The class of a status: what a customer asks for first. `throttled` is no error of the customer's program, so that it
  stands apart. Nothing, and what is no HTTP status (0 of a connection that broke, say), is `other`.
#}
{% macro status_class(status) %}
    case
        when {{ status }} = 429
        then 'throttled'
        when {{ status }} between 100 and 399
        then 'success'
        when {{ status }} between 400 and 499
        then 'client_error'
        when {{ status }} between 500 and 599
        then 'server_error'
        else 'other'
    end
{% endmacro %}

{# Microseconds rounded up to three significant digits: less than 1 % more than they were, and below 1 ms exact. #}
{% macro three_digits(us) %}
    case
        when {{ us }} < 1000
        then {{ us }}
        {% for zeros in range(1, 16) %}
            when {{ us }} < {{ 10 ** (zeros + 3) }}
            then {{ whole_divide(us ~ " + " ~ (10**zeros - 1), 10**zeros) }} * {{ 10**zeros }}
        {% endfor %}
        else {{ us }}
    end
{% endmacro %}

{#
  The requests of touched days, with the place of each latency in its group: `measured_upto` requests of the group took
  as long or less, of the `measured` ones whose latency is known.
#}
{% macro placed_requests(keys) %}
    select
        requests.*,
        {{ status_class("requests.status") }} as status_class,
        sum(case when latency_us is not null then requests else 0 end) over (
            partition by {{ keys | join(", ") }} order by latency_us range between unbounded preceding and current row
        ) as measured_upto,
        sum(case when latency_us is not null then requests else 0 end) over (
            partition by {{ keys | join(", ") }}
        ) as measured
    from touched_requests as requests
{% endmacro %}

{# Of a group of placed requests: the latencies at rank ceil(p x n / 100), in whole numbers, and n. #}
{% macro latency_columns() %}
    {% for p in [50, 95, 99] %}
        min(case when measured_upto * 100 >= {{ p }} * measured then latency_us end) as latency_p{{ p }}_us,
    {% endfor %}
    cast(sum(case when latency_us is not null then requests else 0 end) as bigint) as latency_events
{% endmacro %}

{#
  Client library and its version, of what the lake keeps of a user agent: the first product that it names, at most 64
  characters (`okhttp/4.9.1`). Browsers, and programs that pass for one, all begin with Mozilla: their versions are not
  kept.
#}
{% macro client_of(agent) %}
    case
        when {{ agent }} is null
        then '(none)'
        when {{ agent }} = 'Mozilla' or {{ agent }} like 'Mozilla/%'
        then '(browser)'
        when {{ agent }} like '%/%'
        then substring({{ agent }}, 1, strpos({{ agent }}, '/') - 1)
        else {{ agent }}
    end
{% endmacro %}
{% macro client_version_of(agent) %}
    case
        when {{ agent }} is null or {{ agent }} like 'Mozilla/%' or {{ agent }} not like '%/%'
        then ''
        else substring({{ agent }}, strpos({{ agent }}, '/') + 1)
    end
{% endmacro %}
