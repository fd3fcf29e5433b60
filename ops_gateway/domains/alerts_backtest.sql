-- name: rule
select * from alert_rule where organization_id = :org and id = :id and deleted_at is null;

-- name: items
-- Items that the rule would have been asked about when they were added, oldest first, after a place.
select i.id, i.created_at
from item i
where i.organization_id = :org and i.deleted_at is null and i.lifecycle_state <> 'expired'
  and (:projects::text[] is null or i.project_id = any (:projects))
  and (:collection::text is null or i.collection_id = :collection)
  and (:start::timestamptz is null or i.created_at >= :start)
  and (:end::timestamptz is null or i.created_at <= :end)
  and (:after::timestamptz is null or (i.created_at, i.id) > (:after, :after_id))
order by i.created_at, i.id
limit :limit;
