-- name: insert_project
insert into project (id, organization_id, name, description, gcs_region, created_by)
values (:id, :org, :name, :description, :region, :user)
returning id, organization_id, name, description, gcs_region, is_archived, created_at, updated_at;

-- name: list_projects
select id, organization_id, name, description, gcs_region, is_archived, created_at, updated_at
from project
where organization_id = :org and deleted_at is null
  and (:visible::text[] is null or id = any (:visible))
  and (:archived or not is_archived)
order by created_at desc, id
limit :limit offset :offset;

-- name: count_projects
select count(*) as total
from project
where organization_id = :org and deleted_at is null
  and (:visible::text[] is null or id = any (:visible))
  and (:archived or not is_archived);

-- name: update_project
update project
set name = coalesce(:name, name), description = coalesce(:description, description),
    is_archived = coalesce(:archived, is_archived), updated_at = now()
where organization_id = :org and id = :id and deleted_at is null
returning id, organization_id, name, description, gcs_region, is_archived, created_at, updated_at;

-- name: lock_project
-- Others may still put items into it.
select id from project where organization_id = :org and id = :id and deleted_at is null for no key update;

-- name: lock_project_alone
select id from project where organization_id = :org and id = :id and deleted_at is null for update;

-- name: lock_jobs
select id from job
where organization_id = :org and project_id = :id and status in ('pending', 'dispatched', 'running')
order by id for update;

-- name: lock_uploads
select id from upload
where organization_id = :org and project_id = :id and status in ('pending', 'uploading', 'processing')
order by id for update;

-- name: cancel_jobs
-- Nobody has begun these.
update job j
set status = 'cancelled', cancel_requested = true, error_code = 'cancelled', error_message = :message,
    credits_charged = 0, stage = null, completed_at = now(), updated_at = now()
where j.organization_id = :org and j.project_id = :id and j.status in ('pending', 'dispatched')
returning j.id, j.job_type_id, j.project_id,
          (select h.id from hold h where h.organization_id = :org and h.id = j.hold_id and h.state = 'open') as open_hold;

-- name: stop_running_jobs
update job set cancel_requested = true, updated_at = now()
where organization_id = :org and project_id = :id and status = 'running';

-- name: open_upload_paths
select f.object_path
from upload_file f join upload u on u.organization_id = f.organization_id and u.id = f.upload_id
where f.organization_id = :org and u.project_id = :id and u.status in ('pending', 'uploading', 'processing');

-- name: end_uploads
with ended as (
  select id, reserved_bytes from upload
  where organization_id = :org and project_id = :id and status in ('pending', 'uploading', 'processing')
)
update upload u
set status = 'failed', reserved_bytes = 0, error_message = :message, lease_until = null, updated_at = now()
from ended
where u.organization_id = :org and u.id = ended.id
returning u.id, ended.reserved_bytes;

-- name: delete_collections
update collection set deleted_at = now(), updated_at = now()
where organization_id = :org and project_id = :id and deleted_at is null;

-- name: delete_project
update project set deleted_at = now(), updated_at = now() where organization_id = :org and id = :id;

-- name: colleague
select user_id from organization_member where organization_id = :org and user_id = :user;

-- name: members
select m.project_id, m.user_id::text, m.role, m.added_by::text, m.created_at, p.email, p.name
from project_member m left join organization_people() p on p.user_id = m.user_id
where m.organization_id = :org and m.project_id = :id
order by m.created_at, m.user_id;

-- name: member
select role from project_member where organization_id = :org and project_id = :id and user_id = :user;

-- name: other_owner
select user_id from project_member
where organization_id = :org and project_id = :id and role = 'owner' and user_id <> :user
limit 1;

-- name: insert_member
insert into project_member (organization_id, project_id, user_id, role, added_by)
values (:org, :id, :user, :role, :by)
on conflict (project_id, user_id) do nothing
returning project_id, user_id::text, role, added_by::text, created_at;

-- name: update_member
update project_member set role = :role
where organization_id = :org and project_id = :id and user_id = :user
returning project_id, user_id::text, role, added_by::text, created_at;

-- name: delete_member
delete from project_member where organization_id = :org and project_id = :id and user_id = :user;
