-- name: upload
select id, organization_id, project_id, status, transfer_method, file_count, total_bytes, reserved_bytes,
       bytes_uploaded, target_collection_id, target_item_id, asset_key, is_categorical, error_message, error_step,
       item_ids, request, lease_until < now() as lapsed, created_by::text, created_at, updated_at
from upload where organization_id = :org and id = :id;

-- name: upload_for_update
select id, organization_id, project_id, status, transfer_method, file_count, total_bytes, reserved_bytes,
       bytes_uploaded, target_collection_id, target_item_id, asset_key, is_categorical, error_message, error_step,
       item_ids, request, lease_until < now() as lapsed, created_by::text, created_at, updated_at
from upload where organization_id = :org and id = :id
for update;

-- name: reserve_quota
-- No row where the quota has no room: the reservation is made or it is not.
update organization
set storage_reserved_bytes = storage_reserved_bytes + :bytes, updated_at = now()
where organization_id = :org
  and storage_used_bytes + storage_reserved_bytes + :bytes <= storage_quota_bytes;

-- name: move_quota
update organization
set storage_reserved_bytes = storage_reserved_bytes - :reserved,
    storage_used_bytes = storage_used_bytes + :used, updated_at = now()
where organization_id = :org;

-- name: insert_upload
insert into upload (id, organization_id, project_id, transfer_method, file_count, total_bytes, reserved_bytes,
                    target_collection_id, target_item_id, asset_key, is_categorical, created_by)
values (:id, :org, :project_id, :transfer_method, :file_count, :total_bytes, :total_bytes,
        :target_collection_id, :target_item_id, :asset_key, :is_categorical, :user)
returning id, project_id, status, transfer_method, file_count, total_bytes, bytes_uploaded, target_collection_id,
          target_item_id, asset_key, is_categorical, error_message, error_step, item_ids, created_by::text,
          created_at, updated_at;

-- name: files
select object_path, file_name, content_type from upload_file
where organization_id = :org and upload_id = :id order by created_at, object_path;

-- name: insert_file
insert into upload_file (organization_id, upload_id, object_path, file_name, content_type)
values (:org, :id, :path, :name, :media_type);

-- name: start_uploading
update upload set status = 'uploading', updated_at = now(), expires_at = now() + interval '24 hours'
where organization_id = :org and id = :id;

-- name: report
update upload
set status = 'uploading', bytes_uploaded = greatest(bytes_uploaded, coalesce(:bytes, 0)), updated_at = now(),
    expires_at = now() + interval '24 hours'
where organization_id = :org and id = :id
returning id, project_id, status, transfer_method, file_count, total_bytes, bytes_uploaded, target_collection_id,
          target_item_id, asset_key, is_categorical, error_message, error_step, item_ids, created_by::text,
          created_at, updated_at;

-- name: claim
update upload
set status = 'processing', request = :request, lease_until = now() + make_interval(secs => :lease),
    updated_at = now()
where organization_id = :org and id = :id;

-- name: queue
-- A worker has it now; should it never end, the session is open again after this time.
update upload set lease_until = now() + make_interval(secs => :lease), updated_at = now()
where organization_id = :org and id = :id;

-- name: reopen
update upload set status = 'uploading', lease_until = null, updated_at = now()
where organization_id = :org and id = :id;

-- name: expired
-- Across tenants, for the maintenance loop.
select id, organization_id from upload
where status in ('pending', 'uploading') and expires_at < now()
order by expires_at limit :limit;

-- name: expired_for_update
select id, project_id, reserved_bytes from upload
where organization_id = :org and id = :id and status in ('pending', 'uploading') and expires_at < now()
for update skip locked;

-- name: give_up
update upload
set status = :status, reserved_bytes = 0, error_message = :message, error_step = :step, lease_until = null,
    updated_at = now()
where organization_id = :org and id = :id
returning id, project_id, status, transfer_method, file_count, total_bytes, bytes_uploaded, target_collection_id,
          target_item_id, asset_key, is_categorical, error_message, error_step, item_ids, created_by::text,
          created_at, updated_at;

-- name: complete
update upload
set status = 'completed', reserved_bytes = 0, item_ids = :items, lease_until = null,
    bytes_uploaded = greatest(bytes_uploaded, total_bytes), updated_at = now()
where organization_id = :org and id = :id
returning id, project_id, status, transfer_method, file_count, total_bytes, bytes_uploaded, target_collection_id,
          target_item_id, asset_key, is_categorical, error_message, error_step, item_ids, created_by::text,
          created_at, updated_at;

-- name: bind
select set_config('opstac.org', :org, true);

-- name: open_upload_of
select u.id, u.total_bytes, u.reserved_bytes
from upload_file f join upload u on u.organization_id = f.organization_id and u.id = f.upload_id
where f.organization_id = :org and f.object_path = :path and u.status in ('pending', 'uploading')
for update of u;

-- name: keep_size
update upload_file set size_bytes = :size where organization_id = :org and object_path = :path;

-- name: total_size
select coalesce(sum(size_bytes), 0)::bigint as total from upload_file
where organization_id = :org and upload_id = :id;

-- name: reserve_more
update upload set reserved_bytes = reserved_bytes + :bytes, updated_at = now()
where organization_id = :org and id = :id;

-- name: room
-- What the organization may still store beside this session's own reservation.
select o.storage_quota_bytes - o.storage_used_bytes - o.storage_reserved_bytes + u.reserved_bytes as bytes
from organization o join upload u on u.organization_id = o.organization_id
where o.organization_id = :org and u.id = :id;

-- name: mark_provisional
-- Objects that shall be made: whichever of them is no asset by then is swept up.
insert into removed_object (object_path, organization_id, removed_at)
select p.path, :org, now() + make_interval(secs => :seconds) from unnest(:paths::text[]) as p (path);
