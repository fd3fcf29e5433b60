-- name: of_item
select id from asset where organization_id = :org and item_id = :item and deleted_at is null order by id;

-- name: of_items
select id from asset where organization_id = :org and item_id = any (:items) and deleted_at is null;

-- name: hold_project
select id from project where organization_id = :org and id = :id and deleted_at is null for key share;

-- name: take_turns_of_project
-- An object that several projects name is counted by one after the other, so that the last of them is told its bytes.
select o.organization_id from organization o
where o.organization_id = :org and exists (
  select from shared_object s where s.organization_id = :org and s.project_id = :project)
for no key update;

-- name: take_turns
select o.organization_id from organization o
where o.organization_id = :org and exists (
  select from shared_object s where s.organization_id = :org and s.object_path = any (array(
    select a.object_path from asset a where a.organization_id = :org and a.id = any (:ids))))
for no key update;

-- name: project_bytes
with shared as (
  select sum(a.size_bytes) filter (where a.project_id = :project) as named,
         max(a.size_bytes) filter (where a.project_id = :project) as bytes,
         bool_and(a.project_id = :project) as only_here
  from shared_object s
  join asset a on a.organization_id = :org and a.object_path = s.object_path and a.deleted_at is null
  where s.organization_id = :org and s.project_id = :project
  group by s.object_path
)
select (coalesce((select sum(a.size_bytes) from asset a
                  where a.organization_id = :org and a.project_id = :project and a.deleted_at is null
                    and a.object_path is not null), 0)
        - coalesce((select sum(named) from shared), 0)
        + coalesce((select sum(bytes) from shared where only_here), 0))::bigint as bytes;

-- name: see
-- What the setting was is read in a step of its own, before it is changed.
with was as materialized (select coalesce(current_setting('opstac.removing', true), '') = 'on' as before)
select before, set_config('opstac.removing', case when :removed then 'on' else 'off' end, true) as now from was;

-- name: counted_no_more
select p.path as object_path from unnest(:paths::text[]) as p (path)
where (select a.id from asset a
       where a.organization_id = :org and a.object_path = p.path and a.deleted_at is null limit 1) is null;

-- name: forget_shared
delete from shared_object where organization_id = :org and object_path = any (:paths::text[]);

-- name: lock_sharers
select a.id from asset a
where a.organization_id = :org and a.deleted_at is null
  and a.object_path = any (array(
    select b.object_path from asset b
    where b.organization_id = :org and b.id = any (:ids) and b.object_path is not null))
order by a.id for update;

-- name: delete_assets
update asset set deleted_at = now(), updated_at = now()
where organization_id = :org and id = any (:ids) and deleted_at is null
returning object_path, size_bytes;

-- name: free_storage
update organization
set storage_used_bytes = greatest(0, storage_used_bytes - :used),
    storage_reserved_bytes = greatest(0, storage_reserved_bytes - :reserved), updated_at = now()
where organization_id = :org;
