-- name: organizations
select organization_id, name, created_at, state, decided_at from free_tier_organizations(:state);

-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;

-- name: decide
insert into free_tier (organization_id, state, decided_by) values (:org, :state, :by)
on conflict (organization_id) do update
  set state = excluded.state, decided_by = excluded.decided_by, decided_at = now()
  where free_tier.state <> excluded.state;

-- name: decision
select state, decided_by, decided_at from free_tier where organization_id = :org;
