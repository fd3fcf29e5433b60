-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;

-- name: add_bytes
insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
values (:org, :path, :asset_id, :bytes, :kind);

-- name: asset
select id, object_path from asset where organization_id = :org and id = :id and object_path is not null;

-- name: insert_run
insert into reconciliation_run (id, organization_id, drift_bytes, threshold_bytes, fault_count, faults, corrected,
                                flagged, actor)
values (:id, :org, :drift, :threshold, :count, :faults, :corrected, :flagged, :actor)
returning created_at;

-- name: runs
select id, organization_id, drift_bytes, threshold_bytes, fault_count, faults, corrected, flagged, actor, created_at
from reconciliation_runs(:only, :flagged, :limit);

-- name: corrections
select id, organization_id, kind, subject, unit, amount, reason, actor, created_at
from reconciliation_corrections(:only, :limit);

-- name: everybody
select organization_id from organizations_with_money();
