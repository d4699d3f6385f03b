-- Grain: journal entry, file, object, field: what its catalog says otherwise than that of the entry before.
select
    changes.entry,
    {{ instant_of_us("entries.now_us") }} as made_at,
    changes."catalog" as catalog_digest,
    changes.file,
    changes."key" as object,
    changes.field,
    changes.before as value_before,
    changes.after as value_after
from {{ source("record", "catalog_changes") }} as changes
inner join {{ source("record", "journal_entries") }} as entries on changes.entry = entries.entry
