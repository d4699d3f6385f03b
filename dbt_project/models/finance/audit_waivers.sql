-- Grain: one reviewed row, or waived input, at the first journal entry that was made with it.
select
    rows.entry,
    rows.place,
    entries.cut_off,
    rows.kind,
    rows.applies_to,
    rows.done_by,
    rows.done_on,
    rows.reason,
    rows.approved_by,
    rows.details
from {{ source("record", "reviewed_rows") }} as rows
inner join {{ source("record", "journal_entries") }} as entries on rows.entry = entries.entry
