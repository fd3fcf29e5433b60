-- name: add
select add_notifications(:personal, cast(:users as uuid[]), :title, :body, :type, :entity_type, :entity_id,
                         :dedupe_key) as added;

-- name: as_person
-- What row-level security lets this transaction see of inboxes.
select set_config('opstac.person', :user, true);

-- name: inbox
select id, title, body, read_at is not null as read, dismissed_at is not null as dismissed, created_at, type,
       entity_type, entity_id
from notification
where user_id = :user and (organization_id is null or organization_id = :org)
  and dismissed_at is null and (read_at is null or not :unread_only)
order by created_at desc, id
limit :limit offset :offset;

-- name: unread_count
select count(*) as count
from notification
where user_id = :user and (organization_id is null or organization_id = :org)
  and read_at is null and dismissed_at is null;

-- name: mark_read
update notification set read_at = now()
where id = :id and user_id = :user and (organization_id is null or organization_id = :org)
  and read_at is null and dismissed_at is null
returning id, title, body, true as read, false as dismissed, created_at, type, entity_type, entity_id;

-- name: mark_all_read
update notification set read_at = now()
where user_id = :user and (organization_id is null or organization_id = :org)
  and read_at is null and dismissed_at is null;

-- name: dismiss
update notification set dismissed_at = now()
where id = :id and user_id = :user and (organization_id is null or organization_id = :org)
  and dismissed_at is null
returning id, title, body, read_at is not null as read, true as dismissed, created_at, type, entity_type, entity_id;
