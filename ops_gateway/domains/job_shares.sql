-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;

-- name: share
select weight, running_limit from job_share where organization_id = :org;

-- name: set_share
insert into job_share (organization_id, weight, running_limit)
values (:org, :weight, :running_limit)
on conflict (organization_id) do update
set weight = excluded.weight, running_limit = excluded.running_limit, updated_at = now();
