-- name: expiring
select organization_id, id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime,
       start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, lifecycle_state, expires_at,
       archived_at, version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
       created_by::text, created_at, updated_at
from expiring_items(:before, :limit);

-- name: overdue
-- Whose items have a state that is not theirs any more.
select organization_id
from expiring_items(now() + make_interval(days => :warning), :limit)
where expires_at <= now() or lifecycle_state = 'active';

-- name: move_on
update item
set lifecycle_state = case when expires_at <= now() then 'expired' else 'expiring' end, updated_at = now()
where organization_id = :org and id = any (array(
  select i.id from item i
  where i.organization_id = :org and i.deleted_at is null and i.lifecycle_state not in ('expired', 'deleted')
    and (i.expires_at <= now()
         or (i.expires_at <= now() + make_interval(days => :warning) and i.lifecycle_state = 'active'))
  order by i.expires_at, i.id
  limit :limit
  for update skip locked))
returning id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime, start_datetime,
          end_datetime, cloud_cover, gsd, properties, stac_extensions, links, lifecycle_state, expires_at, archived_at,
          version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
          created_by::text, created_at, updated_at;
