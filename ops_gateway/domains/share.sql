-- name: insert
insert into share_link (id, organization_id, project_id, target_type, target_id, permission, token_sha256,
                        password_hash, expires_at, created_by, created_by_key)
values (:id, :org, :project, :target_type, :target, :permission, :sha256, :password_hash, :expires_at, :user, :key)
returning id, target_type, target_id, permission, organization_id, project_id, expires_at, revoked_at, access_count,
          last_accessed_at, created_by::text, created_at;

-- name: links
select id, target_type, target_id, permission, organization_id, project_id, expires_at, revoked_at, access_count,
       last_accessed_at, created_by::text, created_at
from share_link
where organization_id = :org and (:project::text is null or project_id = :project)
  and (:projects::text[] is null or project_id = any (:projects))
order by created_at desc, id
limit :limit offset :offset;

-- name: count_links
select count(*) as total
from share_link
where organization_id = :org and (:project::text is null or project_id = :project)
  and (:projects::text[] is null or project_id = any (:projects));

-- name: link_for_update
select id, project_id from share_link
where organization_id = :org and id = :id and revoked_at is null
for no key update;

-- name: revoke
update share_link set revoked_at = now()
where organization_id = :org and id = :id and revoked_at is null
returning id, project_id, target_type, target_id, permission, expires_at;
