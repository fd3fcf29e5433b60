-- name: insert_rule
-- No row comes back where the organization has as many as it may.
insert into alert_rule (id, organization_id, name, description, collection_id, event_types, expression, comparison,
                        threshold, threshold_upper, asset_key, band_mapping, notification_channels, cooldown_minutes,
                        created_by, watcher)
select :id, :org, :name, :description, :collection_id, :event_types, :expression, :comparison, :threshold,
       :threshold_upper, :asset_key, :band_mapping::jsonb, :notification_channels, :cooldown_minutes, :by,
       :by
where (select count(*) from alert_rule where organization_id = :org and deleted_at is null) < :most
returning *;

-- name: rules
select * from alert_rule
where organization_id = :org and deleted_at is null
  and (:active::boolean is null or active = :active)
  and (:collection::text is null or collection_id = :collection)
order by created_at desc, id desc;

-- name: rule
select * from alert_rule where organization_id = :org and id = :id and deleted_at is null;

-- name: rule_for_update
select * from alert_rule where organization_id = :org and id = :id and deleted_at is null
for no key update;

-- name: update_rule
update alert_rule
set name = :name, description = :description, collection_id = :collection_id, event_types = :event_types,
    expression = :expression, comparison = :comparison, threshold = :threshold, threshold_upper = :threshold_upper,
    asset_key = :asset_key, band_mapping = :band_mapping::jsonb, notification_channels = :notification_channels,
    cooldown_minutes = :cooldown_minutes, active = :active, watcher = :by, updated_at = now()
where organization_id = :org and id = :id
returning *;

-- name: delete_rule
update alert_rule set deleted_at = now(), active = false
where organization_id = :org and id = :id and deleted_at is null
returning id;

-- name: events
select *, acknowledged_at is not null as acknowledged
from alert_event
where organization_id = :org
  and (:rule::text is null or rule_id = :rule)
  and (:acknowledged::boolean is null or (acknowledged_at is not null) = :acknowledged)
  and (:projects::text[] is null or project_id = any (:projects))
order by triggered_at desc, id desc
limit :limit offset :offset;

-- name: acknowledge
update alert_event set acknowledged_at = coalesce(acknowledged_at, now())
where organization_id = :org and id = :id and (:projects::text[] is null or project_id = any (:projects))
returning *, true as acknowledged;
