-- name: target
select id, endpoint_url, secret, sealed_headers, case when previous_until > now() then previous end as previous
from event_subscription where organization_id = :org and id = :id;

-- name: list_deliveries
select d.id, d.subscription_id, d.event_id, e.type as event_type, e.entity_type, e.entity_id, d.state, d.attempts,
       case when d.state = 'due' then d.next_at end as next_attempt_at, d.http_status, d.error, d.created_at,
       d.delivered_at
from (
  select * from delivery
  where organization_id = :org and subscription_id = :subscription and (:state::text is null or state = :state)
  order by created_at desc, id desc
  limit :limit offset :offset
) d
left join event e on e.organization_id = :org and e.id = d.event_id
order by d.created_at desc, d.id desc;

-- name: known
select id from delivery where organization_id = :org and subscription_id = :subscription and id = any (:ids);

-- name: replay
update delivery
set state = 'due', next_at = now(), claimed_until = null, first_attempt = attempts, delivered_at = null
where organization_id = :org and subscription_id = :subscription and id = any (:ids) and state in ('dead', 'delivered');

-- name: replay_dead
with oldest as (
  select id, created_at from delivery
  where organization_id = :org and subscription_id = :subscription and state = 'dead'
  order by created_at, id
  limit :limit
)
update delivery d
set state = 'due', next_at = now(), claimed_until = null, first_attempt = d.attempts
from oldest o
where d.organization_id = :org and d.id = o.id and d.created_at = o.created_at and d.state = 'dead';

-- name: count_dead
select count(*) as total from delivery
where organization_id = :org and subscription_id = :subscription and state = 'dead';
