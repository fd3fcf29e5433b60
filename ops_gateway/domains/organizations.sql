-- name: insert_organization
-- The short name is made unique by the id's end where another organization has it.
insert into organization (organization_id, name, slug, details, enterprise_billing, storage_quota_bytes)
values (:org, :name, free_slug(:slug, :suffix), :details, :enterprise, :quota)
returning organization_id as id, name, slug, enterprise_billing, created_at;

-- name: open_wallet
select open_wallet();

-- name: insert_owner
insert into organization_member (organization_id, user_id, role) values (:org, :user, 'owner');

-- name: take_slot
select take_slot() as slot;

-- name: get_organization
select organization_id as id, name, slug, enterprise_billing, created_at
from organization where organization_id = :org and deleted_at is null;

-- name: people
select user_id::text, email, name, role, created_at from organization_people();
