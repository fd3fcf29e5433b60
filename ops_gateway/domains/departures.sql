-- name: end_invitations
update invitation i set revoked_at = now()
where i.organization_id = :org and i.invited_by = (:user)::uuid and i.accepted_at is null and i.revoked_at is null
  and not may_invite(i.organization_id, i.invited_by, i.role)
returning i.id;

-- name: disable_subscriptions
update event_subscription s
set active = false, disabled_at = now(), updated_at = now(),
    disabled_reason = 'was disabled: whoever made it may not see all that it tells any more'
where s.organization_id = :org and s.created_by = (:user)::uuid and s.active
  and not may_be_told(s.organization_id, s.created_by, s.everywhere)
returning s.id, s.endpoint_url;

-- name: give_up
-- What waits for a subscription that is disabled: whoever enables it again can replay it.
update delivery set state = 'dead', claimed_until = null, error = 'not sent: the subscription is disabled'
where organization_id = :org and subscription_id = any (:ids) and state = 'due';

-- name: revoke_links
update share_link l set revoked_at = now()
where l.organization_id = :org and l.created_by = (:user)::uuid and l.revoked_at is null
  and not member_sees(l.organization_id, l.created_by, l.project_id)
returning l.id, l.project_id, l.target_type, l.target_id, l.permission, l.expires_at;

-- name: count_keys
select count(*)::int as total from api_key
where organization_id = :org and created_by = (:user)::uuid and revoked_at is null
  and (expires_at is null or expires_at > now());

-- name: owners
select user_id::text from organization_member where organization_id = :org and role = 'owner';

-- name: person
select coalesce(email, name, user_id::text) as name from organization_people() where user_id = (:user)::uuid;

-- name: disable_subscriptions_of_keys
update event_subscription s
set active = false, disabled_at = now(), updated_at = now(),
    disabled_reason = 'was disabled: the API key that made it was revoked'
where s.organization_id = :org and s.created_by_key = any (:keys) and s.active
returning s.id, s.endpoint_url;

-- name: revoke_links_of_keys
update share_link l set revoked_at = now()
where l.organization_id = :org and l.created_by_key = any (:keys) and l.revoked_at is null
returning l.id, l.project_id, l.target_type, l.target_id, l.permission, l.expires_at;

-- name: keep_subscriptions
update event_subscription set created_by_key = null where organization_id = :org and created_by_key = any (:keys);

-- name: keep_links
update share_link set created_by_key = null where organization_id = :org and created_by_key = any (:keys);

-- name: keep_callbacks
-- who made the key is asked for in its place, as for what else it set up
update job_callback c set holder = coalesce((select k.created_by::text from api_key k where k.id = c.holder), '')
where c.organization_id = :org and c.holder = any (:keys);
