-- name: oldest_project
select id from project
where organization_id = :org and deleted_at is null and not is_archived
  and (:projects::text[] is null or id = any (:projects))
order by created_at, id limit 1;
