-- name: matching
-- The rules that an event about an item is for, but for those whose cooldown runs and of who may not see the item.
-- Many rules have few watchers: each of these is asked about once.
with watching as materialized (
  select w.watcher
  from (select distinct watcher from alert_rule
        where organization_id = :org and active and deleted_at is null and watcher is not null) w
  where sees_project(w.watcher, :project)
)
select *
from alert_rule
where organization_id = :org and active and deleted_at is null
  and :event_type = any (event_types)
  and (collection_id is null or collection_id = :collection)
  and created_at <= :happened_at
  and (watcher is null or watcher in (select w.watcher from watching w))
  and (cooldown_minutes = 0 or last_triggered_at is null
       or last_triggered_at <= now() - make_interval(mins => cooldown_minutes))
order by created_at, id;

-- name: viewers
-- The people who may see what is in a project.
select user_id::text as user_id from organization_member
where organization_id = :org and sees_project(user_id, :project);

-- name: take_due
-- Whoever gets the row decides on the event; nobody after.
delete from alert_due where organization_id = :org and event_id = :event returning event_id;

-- name: fire
-- Alert events of the rules that are active and whose cooldown is over at this moment, each once for the event about
-- the item. The rules are locked in one order, and looked at again where another transaction held them.
with given as (
  select * from jsonb_to_recordset(:rows::jsonb) as g(
    id text, rule_id text, rule_name text, expression text, comparison text, threshold double precision,
    threshold_upper double precision, computed_value double precision)
),
ready as (
  select r.id
  from alert_rule r
  where r.organization_id = :org and r.id = any (array(select rule_id from given))
    and r.active and r.deleted_at is null
    and (r.cooldown_minutes = 0 or r.last_triggered_at is null
         or r.last_triggered_at <= clock_timestamp() - make_interval(mins => r.cooldown_minutes))
  order by r.id
  for no key update
),
fired as (
  insert into alert_event (id, organization_id, rule_id, event_id, item_id, project_id, collection_id, rule_name,
                           expression, comparison, threshold, threshold_upper, computed_value, triggered_at)
  select g.id, :org, g.rule_id, :event, :item, :project, :collection, g.rule_name, g.expression, g.comparison,
         g.threshold, g.threshold_upper, g.computed_value, clock_timestamp()
  from ready join given g on g.rule_id = ready.id
  on conflict (rule_id, event_id) do nothing
  returning *, false as acknowledged
),
marked as (
  update alert_rule r set last_triggered_at = f.triggered_at
  from fired f
  where r.organization_id = :org and r.id = f.rule_id
)
select * from fired order by triggered_at, id;
