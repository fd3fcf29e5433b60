-- name: insert_invitation
insert into invitation (id, organization_id, token_sha256, email, role, invited_by, expires_at)
values (:id, :org, :digest, :email, :role, :by, now() + make_interval(days => :days))
returning id, email, role, invited_by::text, created_at, expires_at, 'pending' as state;

-- name: invitations
select id, email, role, invited_by::text, created_at, expires_at,
       case when accepted_at is not null then 'accepted' when revoked_at is not null then 'revoked'
            when expires_at <= now() then 'expired' else 'pending' end as state
from invitation where organization_id = :org order by created_at desc, id desc limit :limit offset :offset;

-- name: count_invitations
select count(*)::int as total from invitation where organization_id = :org;

-- name: revoke_invitation
update invitation set revoked_at = coalesce(revoked_at, now())
where organization_id = :org and id = :id and accepted_at is null returning id;

-- name: find
select id, organization_id, organization, email, role, state from find_invitation(:digest);

-- name: use_invitation
-- Of several who come with one invitation at the same time, one gets the row.
update invitation set accepted_at = now(), accepted_by = :user
where organization_id = :org and id = :id and accepted_at is null and revoked_at is null and expires_at > now()
returning role;

-- name: join_organization
insert into organization_member (organization_id, user_id, role) values (:org, :user, :role)
on conflict do nothing returning role;

-- name: inviting
select name from organization where organization_id = :org;

-- name: confirmed
select address_is_confirmed(:user) as is_it;

-- name: lock_count
-- One at a time counts and adds, until its transaction ends; so that many at once are not all mailed.
select pg_advisory_xact_lock(hashtextextended('invitations ' || :org, 0));

-- name: recent
select count(*) as in_all, count(*) filter (where email = :email) as to_one
from invitation where organization_id = :org and created_at > now() - interval '24 hours';
