-- name: saved_search
-- One of a project that is deleted is gone with it.
select s.id, s.project_id, s.name, s.description, s.search, s.last_seq, s.error, s.created_by::text, s.created_at,
       s.updated_at
from saved_search s
left join project p on p.organization_id = :org and p.id = s.project_id
where s.organization_id = :org and s.id = :id and s.deleted_at is null and p.deleted_at is null;

-- name: lock
select id from saved_search where organization_id = :org and id = :id and deleted_at is null for update;

-- name: count_all
select count(*) as total from saved_search where organization_id = :org and deleted_at is null;

-- name: insert
-- No row where the name is taken.
insert into saved_search (id, organization_id, project_id, name, description, search, created_by)
values (:id, :org, :project, :name, :description, :search, :user)
on conflict do nothing
returning id, project_id, name, description, search, last_seq, error, created_by::text, created_at, updated_at;

-- name: list_searches
select s.id, s.project_id, s.name, s.description, s.search, s.last_seq, s.error, s.created_by::text, s.created_at,
       s.updated_at
from saved_search s
left join project p on p.organization_id = :org and p.id = s.project_id
where s.organization_id = :org and s.deleted_at is null and p.deleted_at is null
  and (:project::text is null or s.project_id = :project)
  and (s.project_id is null or :projects::text[] is null or s.project_id = any (:projects))
order by s.created_at desc, s.id
limit :limit offset :offset;

-- name: count_searches
select count(*) as total
from saved_search s
left join project p on p.organization_id = :org and p.id = s.project_id
where s.organization_id = :org and s.deleted_at is null and p.deleted_at is null
  and (:project::text is null or s.project_id = :project)
  and (s.project_id is null or :projects::text[] is null or s.project_id = any (:projects));

-- name: other
select id from saved_search
where organization_id = :org and coalesce(project_id, '') = coalesce(:project::text, '') and name = :name
  and id <> :id and deleted_at is null;

-- name: update
update saved_search
set name = :name, description = coalesce(:description, description), search = coalesce(:search, search),
    error = case when :search::jsonb is null then error end, updated_at = now()
where organization_id = :org and id = :id and deleted_at is null
returning id, project_id, name, description, search, last_seq, error, created_by::text, created_at, updated_at;

-- name: delete
-- The log goes later, in parts; see sweep_logs.
update saved_search set deleted_at = now(), updated_at = now()
where organization_id = :org and id = :id and deleted_at is null
returning id;
