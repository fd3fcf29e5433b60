-- name: given_up
select event_id, event_type, item_id, project_id, happened_at, attempts, error, given_up_at from alert_due
where organization_id = :org and given_up_at is not null
  and (:projects::text[] is null or project_id = any (:projects))
order by given_up_at desc, event_id
limit :limit offset :offset;

-- name: count_given_up
select count(*) as total from alert_due
where organization_id = :org and given_up_at is not null
  and (:projects::text[] is null or project_id = any (:projects));

-- name: replay
update alert_due set given_up_at = null, attempts = 0, next_at = now()
where organization_id = :org and given_up_at is not null
  and (:projects::text[] is null or project_id = any (:projects))
  and (:ids::text[] is null or event_id = any (:ids))
returning event_id, item_id;
