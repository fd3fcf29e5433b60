-- name: insert_key
insert into api_key (id, organization_id, lookup, secret_sha256, name, permissions, rate_limit, created_by, expires_at)
values (:id, :org, :lookup, :digest, :name, :permissions, :rate_limit, :user,
        now() + make_interval(days => :days::integer))
returning id, 'gpra_' || lookup as prefix, name, permissions, rate_limit, expires_at, created_at;

-- name: list_keys
select id, 'gpra_' || lookup as prefix, name, permissions, rate_limit, created_by::text, last_used_at, expires_at,
       revoked_at, created_at
from api_key
where organization_id = :org
order by created_at desc, id;

-- name: revoke_key
update api_key set revoked_at = coalesce(revoked_at, now())
where organization_id = :org and id = :id
returning id;
