-- name: item
select id, name, type, geometry, bbox, datetime, start_datetime, end_datetime, cloud_cover, gsd, properties
from item where organization_id = :org and id = :id and deleted_at is null;

-- name: job_organization
select organization_id from job where id = :id;

-- name: upload_organization
select organization_id from upload where id = :id;
