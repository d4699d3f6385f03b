-- No client of a customer failed far more often than usual in the last seven days that are known.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "integration_health"}}}) }}
select customer, client, version, local_day, requests, errors, reason
from {{ ref("integration_health") }}
where struggling and local_day > (select max(local_day) - 7 from {{ ref("integration_health") }})
