-- Grain: one line that could not be read and still waits, with its place, the reason and its bytes (hexadecimal).
select quarantine.file_id, files.source, files.path, quarantine.line, quarantine.reason, quarantine.raw_hex
from {{ source("record", "quarantine") }} as quarantine
inner join {{ source("record", "files") }} as files on quarantine.file_id = files.file_id
