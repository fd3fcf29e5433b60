-- name: job_project
select project_id from job where organization_id = :org and id = :id and deleted_at is null;

-- name: upload_project
select project_id from upload where organization_id = :org and id = :id;

-- name: slug
select slug from collection where organization_id = :org and id = :id;

-- name: profiles
select id, item_id, name, layer, type, is_default, sort_order, config, asset_key, version, created_by::text,
       created_at, updated_at
from visualization_profile
where organization_id = :org and item_id = :item
order by sort_order, created_at, id;

-- name: made_by
-- The call that made an item, and the items it was derived from.
select (array_agg(l.invocation_id order by l.seq))[1] as invocation_id,
       (array_agg(l.operation order by l.seq))[1] as operation,
       coalesce(array_agg(l.dst_id order by l.seq) filter (where l.relation = 'derived_from'), '{}') as derived_from
from lineage l
where l.organization_id = :org and l.src_type = 'item' and l.src_id = :id
  and l.relation in ('generated_by', 'derived_from')
having count(*) > 0;

-- name: list_items
select id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime, start_datetime,
       end_datetime, cloud_cover, gsd, properties, stac_extensions, lifecycle_state, expires_at, archived_at,
       version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
       created_by::text, created_at, updated_at
from item
where organization_id = :org and project_id = :project and deleted_at is null
  and (:collection::text is null or collection_id = :collection)
  and (not :uncollected or collection_id is null)
order by created_at desc, id
limit :limit offset :offset;

-- name: count_items
select count(*) as total
from item
where organization_id = :org and project_id = :project and deleted_at is null
  and (:collection::text is null or collection_id = :collection)
  and (not :uncollected or collection_id is null);

-- name: delete_item
update item set lifecycle_state = 'deleted', deleted_at = now(), updated_at = now()
where organization_id = :org and id = :id;
