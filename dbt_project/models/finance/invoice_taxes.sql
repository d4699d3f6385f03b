-- Grain: one tax of an issued document: a category at a rate, or an exemption with its reason.
select
    taxes.number,
    taxes.position,
    documents.entity,
    documents.customer,
    documents.currency,
    documents.issue_date,
    taxes.category,
    taxes.name,
    taxes.percent,
    taxes.base,
    taxes.amount,
    taxes.reason
from {{ source("record", "issued_taxes") }} as taxes
inner join {{ source("record", "issued_documents") }} as documents on taxes.number = documents.number
