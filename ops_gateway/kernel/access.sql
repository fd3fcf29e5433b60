-- name: count_alone
select pg_advisory_xact_lock(hashtextextended(:what || ' ' || :org, 0));

-- name: project
select id, organization_id, name, description, gcs_region, is_archived, created_by, created_at, updated_at
from project where organization_id = :org and id = :id and deleted_at is null;

-- name: collection
select id, organization_id, project_id, slug, name, description, color, show_on_map, layer_order, auto_created,
       source_type, source_id, stac, public, created_at, updated_at, deleted_at
from collection where organization_id = :org and id = :id and deleted_at is null;

-- name: item
select id, organization_id, project_id, collection_id, stac_id, type, name, description, geometry, bbox,
       datetime, start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, links, lifecycle_state,
       expires_at, archived_at, version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id,
       deleted_at, created_by::text, created_at, updated_at
from item where organization_id = :org and id = :id and deleted_at is null;

-- name: item_for_update
select id, organization_id, project_id, collection_id, stac_id, type, name, description, geometry, bbox,
       datetime, start_datetime, end_datetime, cloud_cover, gsd, properties, stac_extensions, links, lifecycle_state,
       expires_at, archived_at, version, previous_version_id, duplicated_from_id, order_id, upload_id, job_id,
       deleted_at, created_by::text, created_at, updated_at
from item where organization_id = :org and id = :id and deleted_at is null
for update;

-- name: live_key
-- Locked, so that whoever revokes it sees what is made by it now.
select id from api_key where organization_id = :org and id = :id and revoked_at is null for share;
