-- Grain: one row per event that counts, as in stg_events, with its endpoint: the narrowest route that its method and
-- path fit. Each lookup is a join, so only models that name the endpoint read this.
select
    events.*,
    coalesce({% for slot in route_slots() %}route_{{ slot }}s.endpoint, {% endfor %} events.unrouted) as endpoint
from {{ ref("stg_events") }} as events
{% for slot in route_slots() %}
    left join
        {{ source("control", "routes") }} as route_{{ slot }}s on events.route_{{ slot }} = route_{{ slot }}s.route_key
{% endfor %}
