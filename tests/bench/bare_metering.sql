-- What the usage stage of a run computes, as one plain script: the same tables from the same lake files, for the one
-- catalog of tests/bench/world.py. It knows the meters and that there are no paths, reads the events once into a
-- temporary table, and checks nothing. `control` is the database of the catalog's tables, made before.
CREATE TEMP TABLE staged AS
WITH counted AS (
    SELECT file_id, feed, credential, event_type, time_us, user_key, bytes, p_model AS model,
        CAST(p_tokens AS DECIMAL(38, 9)) AS tokens
    FROM read_parquet(getvariable('events')) AS events
    ANTI JOIN read_parquet(getvariable('verdicts')) AS verdicts USING (file_id, line)
), located AS (
    SELECT counted.*, credentials.customer, zones.offset_us, zones.start_us, zones.carry_bucket_us, zones.carry_day
    FROM counted
    LEFT JOIN control.credentials ON counted.credential = credentials.credential
    LEFT JOIN control.customer_offsets AS zones
        ON credentials.customer = zones.customer AND time_us >= zones.start_us AND time_us < zones.end_us
)
SELECT
    file_id, feed, credential, event_type, time_us, user_key, bytes, model, tokens, customer,
    greatest(DATE '1970-01-01' + CAST((time_us + offset_us) // 86400000000 AS INTEGER), carry_day) AS local_day,
    CASE WHEN time_us - (time_us + offset_us) % 3600000000 >= start_us
        THEN time_us - (time_us + offset_us) % 3600000000 ELSE carry_bucket_us END AS bucket_us
FROM located;

CREATE TABLE stream_hours AS
SELECT file_id, time_us // 3600000000 AS utc_hour, count(*) AS events
FROM read_parquet(getvariable('events')) GROUP BY ALL;

CREATE TABLE endpoints_by_file AS
SELECT file_id, feed, NULL::VARCHAR AS endpoint, NULL::VARCHAR AS shape, count(*) AS events,
    DATE '1970-01-01' + CAST(min(time_us) // 86400000000 AS INTEGER) AS first_day,
    DATE '1970-01-01' + CAST(max(time_us) // 86400000000 AS INTEGER) AS last_day,
    NULL::VARCHAR AS example, []::UBIGINT[] AS path_hashes
FROM staged GROUP BY file_id, feed;

CREATE TABLE unattributed_by_file AS
SELECT file_id, feed, credential, event_type, DATE '1970-01-01' + CAST(time_us // 86400000000 AS INTEGER) AS utc_day,
    count(*) AS events, sum(coalesce(bytes, 0)) AS bytes
FROM staged WHERE customer IS NULL GROUP BY ALL;

CREATE TABLE metered_hours AS
SELECT customer, local_day, bucket_us, NULL::VARCHAR AS endpoint, NULL::VARCHAR AS method, model AS d_model,
    count(*) AS events, sum(coalesce(bytes, 0)) AS bytes,
    max(tokens) AS m_largest, nullif(count(*) FILTER (tokens IS NULL), 0) AS u_largest,
    count(*)::DECIMAL(38, 9) AS m_requests, NULL::BIGINT AS u_requests,
    sum(tokens) AS m_tokens, nullif(count(*) FILTER (tokens IS NULL), 0) AS u_tokens
FROM staged WHERE customer IS NOT NULL GROUP BY customer, local_day, bucket_us, model;

CREATE TABLE distinct_daily AS
SELECT customer, 'users' AS meter, '{}' AS dimensions, local_day, user_key AS value_key, count(*) AS events,
    min(time_us) AS first_us
FROM staged WHERE customer IS NOT NULL AND user_key <> '' GROUP BY customer, local_day, user_key;

CREATE TABLE values_daily AS
SELECT customer, 'usual_size' AS meter, '{}' AS dimensions, local_day, tokens AS value, count(*) AS events,
    min(time_us) AS first_us
FROM staged WHERE customer IS NOT NULL AND tokens IS NOT NULL GROUP BY customer, local_day, tokens;

CREATE TABLE values_hourly AS
SELECT customer, 'users' AS meter, '{}' AS dimensions, local_day, bucket_us,
    count(DISTINCT user_key)::DECIMAL(38, 9) AS quantity
FROM staged WHERE customer IS NOT NULL AND user_key <> '' GROUP BY customer, local_day, bucket_us
UNION ALL
SELECT customer, 'usual_size', '{}', local_day, bucket_us, quantile_disc(tokens, 0.95)
FROM staged WHERE customer IS NOT NULL AND tokens IS NOT NULL GROUP BY customer, local_day, bucket_us;

CREATE TABLE latest_hourly (customer VARCHAR, meter VARCHAR, dimensions VARCHAR, local_day DATE, bucket_us BIGINT,
    value DECIMAL(38, 9), time_us BIGINT, source VARCHAR, event_id VARCHAR);

CREATE TABLE unmeasured_cells AS
SELECT customer, meter, aggregation, dimensions, local_day, sum(events) AS events
FROM (
    SELECT customer, local_day, unnest(['largest', 'tokens', 'usual_size', 'users']) AS meter,
        unnest(['max', 'sum', 'percentile', 'unique_count']) AS aggregation,
        unnest(['{}', '{"model":' || coalesce('"' || model || '"', 'null') || '}', '{}', '{}']) AS dimensions,
        unnest([no_tokens, no_tokens, no_tokens, no_user]) AS events
    FROM (
        SELECT customer, local_day, model, count(*) FILTER (tokens IS NULL) AS no_tokens,
            count(*) FILTER (coalesce(user_key, '') = '') AS no_user
        FROM staged WHERE customer IS NOT NULL GROUP BY customer, local_day, model)
    WHERE no_tokens > 0 OR no_user > 0)
WHERE events > 0 GROUP BY ALL;

CREATE TABLE unmeasured_daily AS
SELECT customer, meter, aggregation, local_day, sum(events) AS events FROM unmeasured_cells GROUP BY ALL;

CREATE TABLE usage_by_day AS
SELECT customer, 'largest' AS meter, 'max' AS aggregation, 'max' AS combine, '{}' AS dimensions, local_day,
    NULL::VARCHAR AS endpoint, NULL::VARCHAR AS method, max(m_largest) AS quantity,
    arg_max(bucket_us, (m_largest, -bucket_us)) AS set_us
FROM metered_hours WHERE m_largest IS NOT NULL GROUP BY customer, local_day
UNION ALL
SELECT customer, 'requests', 'count', 'sum', '{}', local_day, NULL, NULL, sum(m_requests), NULL
FROM metered_hours GROUP BY customer, local_day
UNION ALL
SELECT customer, 'tokens', 'sum', 'sum', '{"model":' || coalesce('"' || d_model || '"', 'null') || '}', local_day,
    NULL, NULL, sum(m_tokens), NULL
FROM metered_hours WHERE m_tokens IS NOT NULL GROUP BY customer, local_day, d_model
UNION ALL
SELECT customer, meter, 'unique_count', 'distinct', '{}', local_day, NULL, NULL, count(*), NULL
FROM distinct_daily GROUP BY customer, meter, local_day
UNION ALL
SELECT customer, meter, 'percentile', 'rank', '{}', local_day, NULL, NULL, quantity, first_us
FROM (
    SELECT *, value AS quantity, sum(events) OVER days AS upto, sum(events) OVER (PARTITION BY customer, local_day) AS n
    FROM values_daily WINDOW days AS (PARTITION BY customer, local_day ORDER BY value))
WHERE upto >= (95 * n + 99) // 100 AND upto - events < (95 * n + 99) // 100;

CREATE TABLE usage_daily AS
SELECT usage.customer, plan, usage.meter, aggregation, local_day, endpoint, method, dimensions, period_start, quantity
FROM usage_by_day AS usage
LEFT JOIN control.billing_days AS billing
    ON usage.customer = billing.customer AND usage.meter = billing.meter
    AND local_day >= start_day AND local_day < end_day;

CREATE TABLE usage_weekly AS
SELECT customer, plan, meter, aggregation, date_trunc('week', local_day)::DATE AS week_start, endpoint, method,
    dimensions, period_start, CASE WHEN aggregation = 'max' THEN max(quantity) ELSE sum(quantity) END AS quantity
FROM usage_daily WHERE aggregation IN ('count', 'sum', 'max')
GROUP BY customer, plan, meter, aggregation, week_start, endpoint, method, dimensions, period_start
UNION ALL
SELECT usage.customer, plan, usage.meter, 'unique_count', date_trunc('week', local_day)::DATE AS week_start,
    NULL, NULL, '{}', period_start, count(DISTINCT value_key)
FROM distinct_daily AS usage
LEFT JOIN control.billing_days AS billing
    ON usage.customer = billing.customer AND usage.meter = billing.meter
    AND local_day >= start_day AND local_day < end_day
GROUP BY usage.customer, plan, usage.meter, week_start, period_start
UNION ALL
SELECT customer, plan, meter, 'percentile', week_start, NULL, NULL, '{}', period_start, value
FROM (
    SELECT *, sum(events) OVER (PARTITION BY customer, plan, week_start, period_start ORDER BY value) AS upto,
        sum(events) OVER (PARTITION BY customer, plan, week_start, period_start) AS n
    FROM (
        SELECT usage.customer, plan, usage.meter, period_start, value, sum(events) AS events,
            date_trunc('week', local_day)::DATE AS week_start
        FROM values_daily AS usage
        LEFT JOIN control.billing_days AS billing
            ON usage.customer = billing.customer AND usage.meter = billing.meter
            AND local_day >= start_day AND local_day < end_day
        GROUP BY usage.customer, plan, usage.meter, week_start, period_start, value))
WHERE upto >= (95 * n + 99) // 100 AND upto - events < (95 * n + 99) // 100;

CREATE TABLE usage_monthly AS
SELECT customer, plan, meter, aggregation, date_trunc('month', local_day)::DATE AS month_start, endpoint, method,
    dimensions, period_start, CASE WHEN aggregation = 'max' THEN max(quantity) ELSE sum(quantity) END AS quantity
FROM usage_daily WHERE aggregation IN ('count', 'sum', 'max')
GROUP BY customer, plan, meter, aggregation, month_start, endpoint, method, dimensions, period_start
UNION ALL
SELECT usage.customer, plan, usage.meter, 'unique_count', date_trunc('month', local_day)::DATE AS month_start,
    NULL, NULL, '{}', period_start, count(DISTINCT value_key)
FROM distinct_daily AS usage
LEFT JOIN control.billing_days AS billing
    ON usage.customer = billing.customer AND usage.meter = billing.meter
    AND local_day >= start_day AND local_day < end_day
GROUP BY usage.customer, plan, usage.meter, month_start, period_start
UNION ALL
SELECT customer, plan, meter, 'percentile', month_start, NULL, NULL, '{}', period_start, value
FROM (
    SELECT *, sum(events) OVER (PARTITION BY customer, plan, month_start, period_start ORDER BY value) AS upto,
        sum(events) OVER (PARTITION BY customer, plan, month_start, period_start) AS n
    FROM (
        SELECT usage.customer, plan, usage.meter, period_start, value, sum(events) AS events,
            date_trunc('month', local_day)::DATE AS month_start
        FROM values_daily AS usage
        LEFT JOIN control.billing_days AS billing
            ON usage.customer = billing.customer AND usage.meter = billing.meter
            AND local_day >= start_day AND local_day < end_day
        GROUP BY usage.customer, plan, usage.meter, month_start, period_start, value))
WHERE upto >= (95 * n + 99) // 100 AND upto - events < (95 * n + 99) // 100;

CREATE TABLE active_users_daily AS
SELECT customer, meter, '(all)' AS application, local_day, coalesce(active_users, 0) AS active_users,
    coalesce(events, 0) AS events, coalesce(events_without_user, 0) AS events_without_user
FROM (
    SELECT customer, meter, local_day, count(DISTINCT value_key) AS active_users, sum(events) AS events
    FROM distinct_daily GROUP BY ALL)
FULL JOIN (
    SELECT customer, meter, local_day, sum(events) AS events_without_user
    FROM unmeasured_cells WHERE aggregation = 'unique_count' GROUP BY ALL) USING (customer, meter, local_day);

CREATE TABLE active_users_weekly AS
SELECT customer, meter, '(all)' AS application, week_start, coalesce(active_users, 0) AS active_users,
    coalesce(events, 0) AS events, coalesce(events_without_user, 0) AS events_without_user
FROM (
    SELECT customer, meter, date_trunc('week', local_day)::DATE AS week_start, count(DISTINCT value_key) AS active_users, sum(events) AS events
    FROM distinct_daily GROUP BY ALL)
FULL JOIN (
    SELECT customer, meter, date_trunc('week', local_day)::DATE AS week_start, sum(events) AS events_without_user
    FROM unmeasured_cells WHERE aggregation = 'unique_count' GROUP BY ALL) USING (customer, meter, week_start);

CREATE TABLE active_users_monthly AS
SELECT customer, meter, '(all)' AS application, month_start, coalesce(active_users, 0) AS active_users,
    coalesce(events, 0) AS events, coalesce(events_without_user, 0) AS events_without_user
FROM (
    SELECT customer, meter, date_trunc('month', local_day)::DATE AS month_start, count(DISTINCT value_key) AS active_users, sum(events) AS events
    FROM distinct_daily GROUP BY ALL)
FULL JOIN (
    SELECT customer, meter, date_trunc('month', local_day)::DATE AS month_start, sum(events) AS events_without_user
    FROM unmeasured_cells WHERE aggregation = 'unique_count' GROUP BY ALL) USING (customer, meter, month_start);

CREATE TABLE event_windows AS
WITH hourly AS (
    SELECT customer, local_day, bucket_us, unnest(['largest', 'requests', 'tokens']) AS meter,
        unnest([max(m_largest), sum(m_requests), sum(m_tokens)]) AS value
    FROM metered_hours GROUP BY customer, local_day, bucket_us)
SELECT customer, meter, '1h' AS window_length, local_day, bucket_us AS window_us, value
FROM hourly WHERE value IS NOT NULL
UNION ALL
SELECT hourly.customer, meter, '1d', hourly.local_day, start_us,
    CASE WHEN meter = 'largest' THEN max(value) ELSE sum(value) END
FROM hourly
JOIN control.customers USING (customer)
JOIN control.zone_days ON customers.zone = zone_days.zone AND hourly.local_day = zone_days.local_day
WHERE value IS NOT NULL GROUP BY hourly.customer, meter, hourly.local_day, start_us;

CREATE TABLE high_watermarks AS
WITH greatest_windows AS (
    SELECT customer, meter, date_trunc('month', local_day)::DATE AS month_start, window_length, max(value) AS value,
        make_timestamp(arg_max(window_us, (value, -window_us))) AS window_start
    FROM event_windows JOIN control.customers USING (customer)
    WHERE local_day < known_day GROUP BY customer, meter, month_start, window_length)
SELECT found.customer, meter, found.month_start, found.window_length, NULL::INTEGER AS percentile, windows,
    windows AS rank, value, window_start
FROM greatest_windows AS found
JOIN control.customers USING (customer)
JOIN control.window_counts AS counts ON customers.zone = counts.zone AND found.month_start = counts.month_start
    AND found.window_length = counts.window_length;

CREATE TABLE charge_quantities AS
SELECT *, '' AS value, '' AS cell, NULL::BIGINT AS hour_us, 0::BIGINT AS events, 'units' AS part
FROM (
SELECT line_id, local_day, sum(quantity) AS quantity, NULL::BIGINT AS window_us, 1 AS windows, NULL::BIGINT AS rank
FROM control.segments JOIN usage_daily AS usage USING (customer, meter)
WHERE measure = 'total' AND local_day >= start_day AND local_day < end_day
GROUP BY line_id, local_day
UNION ALL
SELECT line_id, local_day, count(*), NULL, 1, NULL
FROM (
    SELECT line_id, value_key, min(local_day) AS local_day
    FROM control.segments JOIN distinct_daily USING (customer, meter)
    WHERE measure = 'unique' AND local_day >= start_day AND local_day < end_day
    GROUP BY line_id, value_key)
GROUP BY line_id, local_day
UNION ALL
SELECT line_id, arg_max(local_day, (value, -window_us)), max(value), arg_max(window_us, (value, -window_us)),
    1, NULL
FROM control.segments JOIN event_windows USING (customer, meter, window_length)
WHERE measure = 'mark' AND local_day >= start_day AND local_day < end_day
GROUP BY line_id);

CREATE TABLE unattributed_usage AS
SELECT feed AS source, credential, event_type, utc_day, sum(events) AS events, sum(bytes) AS bytes
FROM unattributed_by_file GROUP BY ALL;

CREATE TABLE route_coverage AS
SELECT feed AS source, 0 AS routes, 0 AS routes_used, sum(events) AS events, 0 AS matched, 0 AS unmatched,
    0 AS without_routes, sum(events) AS without_path
FROM endpoints_by_file GROUP BY feed;
