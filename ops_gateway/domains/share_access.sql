-- name: find
select id, organization_id, slot, project_id, target_type, target_id, permission, password_hash, expires_at,
       locked_seconds
from find_share(:sha256, :most, :seconds);

-- name: tried
select try_share(:id, :most, :seconds) as tried;

-- name: opened
select share_opened(:id, :tried::timestamptz, :counts) is null as done;
