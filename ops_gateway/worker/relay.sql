-- name: relay
-- Committed events that nobody has passed on: delivery rows for the subscriptions that match, rows
-- for the saved searches and the alert rules to be compared with, and the events' names for the reactions.
-- Never "newer than the last one": commits are not in order.
with due as (
  select id, created_at from event
  where relayed_at is null
  order by created_at
  limit :limit
  for update skip locked
),
passed as (
  update event e set relayed_at = now()
  from due d where e.id = d.id and e.created_at = d.created_at
  returning e.id, e.organization_id, e.type, e.entity_type, e.entity_id, e.project_id, e.data, e.created_at
),
announced as (
  insert into delivery (id, organization_id, event_id, subscription_id)
  select 'dlv_' || replace(gen_random_uuid()::text, '-', ''), p.organization_id, p.id, s.id
  from passed p
  join event_subscription s on s.organization_id = p.organization_id and s.active
   -- what happened before it was there, or while it was disabled, is not sent
   and s.active_since <= p.created_at
   -- its maker may see this at this moment
   and is_told(p.organization_id, s.created_by, s.everywhere, p.project_id)
   and (s.event_type in ('*', p.type) or (right(s.event_type, 2) = '.*'
        and starts_with(p.type, left(s.event_type, -1))))
  where not exists (
    select 1 from jsonb_each(s.filter_config) f
    where jsonb_build_object('event_id', p.id, 'event_type', p.type, 'entity_type', p.entity_type,
                             'entity_id', p.entity_id, 'organization_id', p.organization_id, 'data',
                             p.data || jsonb_build_object('project_id', p.project_id))
          #> string_to_array(f.key, '.') is distinct from f.value)
),
compared as (
  -- saved searches are compared with many items at once, so these wait in a table, not in the queue
  insert into saved_search_due (event_id, organization_id, item_id, created_at)
  select p.id, p.organization_id, p.entity_id, p.created_at
  from passed p
  where p.entity_type = 'item'
    and exists (select from saved_search s where s.organization_id = p.organization_id and s.deleted_at is null)
  on conflict do nothing
),
watched as (
  -- alert rules read rasters, which takes long: so these wait in a table too
  insert into alert_due (event_id, organization_id, item_id, event_type, project_id, collection_id, happened_at)
  select p.id, p.organization_id, p.entity_id, p.type, p.project_id, p.data ->> 'collection_id', p.created_at
  from passed p
  where p.type in ('item.created', 'item.updated')
    and exists (select from alert_rule r where r.organization_id = p.organization_id and r.deleted_at is null
                and r.active and p.type = any (r.event_types) and r.created_at <= p.created_at
                and (r.collection_id is null or r.collection_id = p.data ->> 'collection_id'))
  on conflict do nothing
)
select id, type from passed order by created_at;

-- name: event
select id, type, organization_id, entity_type, entity_id, project_id, data from event where id = :id;
