-- name: unsettled
select organization_id, hold_id, job_id from unsettled_holds(:only, :limit);

-- name: hold
select h.id, h.amount, h.state, h.job_id, b.status, b.credits_charged
from hold h left join job b on b.organization_id = :org and b.id = h.job_id
where h.organization_id = :org and h.id = :id;

-- name: lock_job
select id from job where organization_id = :org and id = :job for update;

-- name: lock_reservation
select pg_advisory_xact_lock(hashtextextended('hold ' || :id, 0));
