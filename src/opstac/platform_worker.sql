-- name: job_organization
select organization_id from job where id = :id;

-- name: upload_organization
select organization_id from upload where id = :id;
