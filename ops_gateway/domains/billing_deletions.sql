-- name: deleted
select organization_id, name, slot, deleted_at, purge_at from deleted_organizations(:days);

-- name: projects
select id from project where organization_id = :org and deleted_at is null order by id;

-- name: close_keys
update api_key set revoked_at = now(), name = '' where organization_id = :org and revoked_at is null;

-- name: close_subscriptions
delete from event_subscription where organization_id = :org;

-- name: forget_project_people
delete from project_member where organization_id = :org;

-- name: forget_people
delete from organization_member where organization_id = :org;

-- name: purged
update organization set purged_at = now(), updated_at = now(), name = 'deleted', slug = organization_id, details = '{}'
where organization_id = :org and deleted_at is not null and purged_at is null;
