-- name: pending
select storage_type, source, count, oldest_at from tracking_failures();

-- name: due
select organization_id, ids from tracking_due(:limit);

-- name: lock
select id, object_path, asset_id from tracking_failure
where organization_id = :org and id = :id and resolved_at is null
for update skip locked;

-- name: replay
-- What is missing between the ledger of bytes and what is stored, whatever happened since.
insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
select :org, :path, :asset_id, d.live - d.net, 'replay'
from (select coalesce((select a.size_bytes from asset a
                       where a.organization_id = :org and a.object_path = :path and a.deleted_at is null
                       order by a.created_at, a.id limit 1), 0) as live,
             coalesce((select sum(e.bytes_delta) from storage_entry e
                       where e.organization_id = :org and e.object_path = :path), 0)::bigint as net) d
where d.live <> d.net;

-- name: resolved
update tracking_failure set resolved_at = now(), attempts = attempts + 1 where organization_id = :org and id = :id;

-- name: failed
update tracking_failure set attempts = attempts + 1, error = :error where organization_id = :org and id = :id;
