-- No subscription has reached a threshold of an entitlement.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "entitlement_status"}}}) }}
select customer, subscription, meter, per, kind, percent
from {{ ref("entitlement_status") }}
where len(alerts) > 0
