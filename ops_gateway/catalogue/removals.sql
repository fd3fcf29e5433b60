-- name: in_order
-- The planner takes what row-level security leaves of a project for a single row, and would read and sort all of it
-- for the first few.
select set_config('enable_sort', case when :on then 'off' else 'on' end, true);

-- name: lock_first_of_project
select id from item
where organization_id = :org and project_id = :project and deleted_at is null
order by created_at desc, id
limit :limit for update;

-- name: lock_first_of_collection
select id from item
where organization_id = :org and project_id = :project and collection_id = :collection and deleted_at is null
order by created_at desc, id
limit :limit for update;

-- name: begin
insert into removal (id, organization_id, project_id, collection_id, items, passed, taken_bytes)
values (:id, :org, :project, :collection, :items, :passed, :taken)
returning id, organization_id, project_id, collection_id, items, passed, taken_bytes;

-- name: take
select id, organization_id, project_id, collection_id, items, passed, taken_bytes from removal
where organization_id = :org and id = :id
for update skip locked;

-- name: adopt
update removal set taken_bytes = 0 where organization_id = :org and id = :id;

-- name: lock_storage
select organization_id from organization where organization_id = :org for no key update;

-- name: count_anew
update organization
set storage_used_bytes = least(storage_quota_bytes - storage_reserved_bytes, (
      select coalesce(sum(f.size_bytes), 0)
      from (select distinct on (a.object_path) a.size_bytes from asset a
            where a.organization_id = :org and a.deleted_at is null and a.object_path is not null
            order by a.object_path) f)),
    updated_at = now()
where organization_id = :org;

-- name: by_indexes
-- What is removed is read by the indexes, also where the planner finds that all of a table is read as soon.
select set_config('enable_seqscan', case when :on then 'off' else 'on' end, true),
       set_config('enable_bitmapscan', case when :on then 'off' else 'on' end, true);

-- name: pass_on
update removal set passed = :passed where organization_id = :org and id = :id;

-- name: end
delete from removal where organization_id = :org and id = :id;

-- name: deleted_earlier
select id from item
where organization_id = :org and project_id = :project and deleted_at is not null and id > :passed
order by id
limit :limit;

-- name: delete_of_project
with doomed as (
  select id from item
  where organization_id = :org and project_id = :project and deleted_at is null
  order by created_at desc, id
  limit :limit for update
)
update item i set deleted_at = now(), updated_at = now(), lifecycle_state = 'deleted'
from doomed
where i.organization_id = :org and i.id = doomed.id
returning i.id, i.name, i.collection_id;

-- name: delete_of_collection
with doomed as (
  select id from item
  where organization_id = :org and project_id = :project and collection_id = :collection and deleted_at is null
  order by created_at desc, id
  limit :limit for update
)
update item i set deleted_at = now(), updated_at = now(), lifecycle_state = 'deleted'
from doomed
where i.organization_id = :org and i.id = doomed.id
returning i.id, i.name, i.collection_id;

-- name: unlink
-- An id that came to be taken among the items in no collection since the deletion gives way to the platform's.
with linked as (
  select id from item
  where organization_id = :org and collection_id = :collection and deleted_at is null
  order by created_at desc, id
  limit :limit for update
)
update item i
set collection_id = null, updated_at = now(),
    stac_id = case when exists (
      select from item b
      where b.organization_id = :org and b.project_id = i.project_id and b.collection_id is null
        and b.stac_id = i.stac_id and b.deleted_at is null) then i.id else i.stac_id end
from linked
where i.organization_id = :org and i.id = linked.id
returning i.id, i.project_id, i.collection_id, i.stac_id, i.type, i.name, i.description, i.geometry, i.bbox,
          i.datetime, i.start_datetime, i.end_datetime, i.cloud_cover, i.gsd, i.properties, i.stac_extensions, i.links,
          i.version, i.expires_at, i.created_at, i.updated_at;
