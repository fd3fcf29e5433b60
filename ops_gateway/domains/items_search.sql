-- name: items
select id, project_id, collection_id, stac_id, type, name, description, geometry, bbox, datetime, start_datetime,
       end_datetime, cloud_cover, gsd, properties, stac_extensions, lifecycle_state, expires_at, archived_at,
       version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id, deleted_at,
       created_by::text, created_at, updated_at
from item
where organization_id = :org and id = any (:ids) and deleted_at is null;
