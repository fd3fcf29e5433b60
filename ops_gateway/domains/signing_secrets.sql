-- name: secrets
select secret, case when previous_until > now() then previous end as previous
from signing_secret where organization_id = :org;

-- name: make
insert into signing_secret (organization_id, secret) values (:org, :secret)
on conflict (organization_id) do nothing;

-- name: find_for_update
select secret, shown_at from signing_secret where organization_id = :org for update;

-- name: mark_shown
update signing_secret set shown_at = now(), updated_at = now() where organization_id = :org;

-- name: rotate
update signing_secret
set previous = secret, previous_until = now() + make_interval(hours => :hours), secret = :secret, shown_at = now(),
    updated_at = now()
where organization_id = :org;

-- name: organization
select organization_id from organization where organization_id = :org and deleted_at is null;
