-- name: bind
select set_config('opstac.org', :org, true);

-- name: upload_is_open
select f.object_path
from upload_file f join upload u on u.id = f.upload_id
where f.organization_id = :org and f.object_path = :path and u.status in ('pending', 'uploading');
