-- name: disown
-- What a process of this name held when it ended.
update alert_due set claimed_by = null, claimed_until = null where claimed_by = :name;

-- name: claim
-- Due events, ours alone until the lease ends: the first one of each organization that this process
-- is not busy with, so that large rasters or many rules of one keep no other waiting.
with recursive hop as (
  (select organization_id from alert_due where given_up_at is null order by organization_id limit 1)
  union all
  select (select d.organization_id from alert_due d
          where d.organization_id > hop.organization_id and d.given_up_at is null order by d.organization_id limit 1)
  from hop where hop.organization_id is not null
),
turn as (
  select d.event_id, d.next_at
  from hop
  cross join lateral (
    select w.event_id, w.next_at
    from alert_due w
    where w.organization_id = hop.organization_id and w.given_up_at is null and w.next_at <= now()
      and (w.claimed_until is null or w.claimed_until < now())
    order by w.next_at, w.event_id
    limit 1
  ) d
  where hop.organization_id is not null and hop.organization_id <> all (:busy)
  order by d.next_at, d.event_id
  limit :limit
),
locked as (
  select d.event_id
  from alert_due d join turn t on t.event_id = d.event_id
  where d.given_up_at is null and (d.claimed_until is null or d.claimed_until < now())
  for update of d skip locked
)
update alert_due d
set attempts = d.attempts + 1, claimed_by = :name, claimed_until = now() + make_interval(secs => :seconds)
from locked l
where d.event_id = l.event_id
returning d.event_id, d.organization_id, d.item_id, d.event_type, d.project_id, d.collection_id, d.happened_at,
  d.attempts;

-- name: renew
update alert_due set claimed_until = now() + make_interval(secs => :seconds)
where claimed_by = :name and event_id = any (:events);

-- name: put_back
update alert_due
set next_at = now() + make_interval(secs => :seconds), claimed_by = null, claimed_until = null, error = :error
where claimed_by = :name and event_id = :event;

-- name: give_up
-- It is listed by alerts.given_up.list.
update alert_due set given_up_at = now(), claimed_by = null, claimed_until = null
where claimed_by = :name and event_id = :event;
