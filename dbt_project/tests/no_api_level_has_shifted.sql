-- No endpoint has answered otherwise since a day of the last seven that are known.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "api_breaks"}}}) }}
select endpoint, measure, since, before, after
from {{ ref("api_breaks") }}
where since > (select max(local_day) - 7 from {{ ref("api_consistency") }})
