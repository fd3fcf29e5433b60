-- name: stored_files
-- Every file that an asset names, once, after the last one seen.
select a.organization_id, a.object_path, min(a.checksum) as checksum, min(a.size_bytes) as size_bytes,
  min(a.item_id || '/' || a.key) as name
from asset a
where a.deleted_at is null and a.object_path is not null and a.object_path > :after
group by a.organization_id, a.object_path
order by a.object_path
limit 500
