-- name: claim
-- Due deliveries that somebody here can write, ours alone until the lease ends. One receiver has a
-- few at once at most, so that a slow one keeps no other waiting.
with waiting as (
  select d.id, d.created_at, d.next_at, coalesce(d.subscription_id, d.destination) as receiver,
         row_number() over (partition by coalesce(d.subscription_id, d.destination) order by d.next_at, d.id) as place
  from delivery d
  where d.state = 'due' and d.next_at <= now() and d.kind = any (:kinds)
    and (d.claimed_until is null or d.claimed_until < now())
),
turn as (
  select w.id, w.created_at
  from waiting w
  cross join lateral (
    select count(*) as sending from delivery f
    where f.state = 'due' and coalesce(f.subscription_id, f.destination) = w.receiver and f.claimed_until >= now()
  ) others
  where w.place + others.sending <= :per_receiver
  order by w.next_at, w.id
  limit :limit
),
locked as (
  select d.id, d.created_at
  from delivery d join turn t on t.id = d.id and t.created_at = d.created_at
  where d.state = 'due' and (d.claimed_until is null or d.claimed_until < now())
  for update of d skip locked
)
update delivery d
set attempts = d.attempts + 1, claimed_until = now() + make_interval(secs => :lease_seconds)
from locked l
where d.id = l.id and d.created_at = l.created_at
returning d.id, d.created_at, d.organization_id, d.kind, d.subject, d.destination, d.event_id, d.subscription_id,
  d.attempts;

-- name: record
-- What became of an attempt; nothing where another attempt has begun since.
update delivery
set state = :state, http_status = :status, error = :error, claimed_until = null,
    next_at = case when :state = 'due' then now() + make_interval(secs => :pause) else next_at end,
    delivered_at = case when :state = 'delivered' then now() end
where id = :id and created_at = :created_at and state = 'due' and attempts = :attempts;
