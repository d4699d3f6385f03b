-- Grain: one thing that should have been delivered and was not, as of this generation. A close asks for a waiver.
select source, stream, kind, {{ instant_of_us("from_us") }} as from_time, {{ instant_of_us("to_us") }} as to_time, what
from {{ source("record", "missing_input") }}
