-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;

-- name: known_reference
select id from invoice where organization_id = :org and reference = :reference;

-- name: unknown_jobs
-- Of these, the jobs with nothing to bill.
select wanted.id
from unnest(:jobs::text[]) as wanted (id)
where not exists (
  select from journal j
  where j.organization_id = :org and j.kind = 'settle' and j.charged > 0 and j.reference_id = wanted.id
    and j.created_at < :until and (:since::timestamptz is null or j.created_at >= :since)
    and (select on_credit(h.created_at) from hold h where h.id = j.hold_id)
    and not exists (select from billed_charge b where b.journal_id = j.id));
