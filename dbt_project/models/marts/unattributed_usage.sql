-- Grain: source, credential, event type, UTC day. Usage that belongs to nobody yet; adding the credential bills it
-- once.
select
    feed as source,
    credential,
    event_type,
    utc_day,
    cast(sum(events) as bigint) as events,
    cast(sum(bytes) as decimal(38, 0)) as bytes
from {{ ref("unattributed_by_file") }}
group by feed, credential, event_type, utc_day
