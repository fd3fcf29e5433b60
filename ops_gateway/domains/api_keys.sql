-- name: insert_key
insert into api_key (id, organization_id, lookup, secret_sha256, name, permissions, rate_limit, created_by, expires_at,
                     spend_cap, budgets, minted_by, mcp_spend)
values (:id, :org, :lookup, :digest, :name, :permissions, :rate_limit, :user,
        coalesce(now() + make_interval(days => :days::integer), :ends), :spend_cap, :budgets, :minted_by, :mcp_spend)
returning id, 'gpra_' || lookup as prefix, name, permissions, rate_limit, expires_at, created_at,
          spend_cap as spend_cap_credits, mcp_spend;

-- name: minting_key
-- Locked, so that it is not revoked between this and its new key.
select id, rate_limit, expires_at, spend_cap, budgets, mcp_spend,
       coalesce(now() + make_interval(days => :days::integer) > expires_at, false) as outlived
from api_key
where organization_id = :org and id = :id and revoked_at is null
for share;

-- name: list_keys
select id, 'gpra_' || lookup as prefix, name, permissions, rate_limit, created_by::text, last_used_at, expires_at,
       revoked_at, mcp_spend, created_at, spend_cap as spend_cap_credits,
       case when spend_cap is not null then spent end as spent_credits,
       case when spend_cap is not null then held end as held_credits,
       spend_cap - spent - held as remaining_credits
from api_key
where organization_id = :org
order by created_at desc, id;

-- name: revoke_key
update api_key set revoked_at = coalesce(revoked_at, now())
where organization_id = :org and id = :id
returning id, name;

-- name: revoke_minted
with recursive minted as (
  select id from api_key where organization_id = :org and minted_by = :id
  union
  select k.id from api_key k join minted m on k.minted_by = m.id where k.organization_id = :org
)
update api_key set revoked_at = now()
where organization_id = :org and id in (select id from minted) and revoked_at is null
returning id;

-- name: mcp_spend
select mcp_spend from api_key where organization_id = :org and id = :id;
