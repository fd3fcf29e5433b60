-- name: lock_claims
-- One claimer at a time, so that the limit of each receiver is exact. Held for milliseconds.
select pg_advisory_xact_lock(:key)

-- name: claim
-- Due deliveries that somebody here can write, ours alone until the lease ends. Receivers are walked by
-- the index, one probe each, and take turns: a long line of one keeps no other waiting. One that took
-- its last message has a few at once; one that did not, or never had any,
-- has one.
with recursive receiver (name) as (
  (select coalesce(subscription_id, destination) from delivery
   where state = 'due' order by coalesce(subscription_id, destination) limit 1)
  union all
  select (select coalesce(d.subscription_id, d.destination) from delivery d
          where d.state = 'due' and coalesce(d.subscription_id, d.destination) > r.name
          order by coalesce(d.subscription_id, d.destination) limit 1)
  from receiver r
  where r.name is not null
),
leased as (
  select coalesce(subscription_id, destination) as name, count(*) as sending
  from delivery
  where state = 'due' and claimed_until is not null and claimed_until >= now()
  group by 1
),
standing as (
  select r.name, coalesce(s.failures = 0 and s.succeeded_at is not null, false) as proven,
         case when s.id is null then :per_receiver
              when s.failures > 0 or s.succeeded_at is null then 1
              -- filled up when half is done, so that a claim is for several
              when coalesce(l.sending, 0) * 2 > :in_line then 0
              else :in_line end - coalesce(l.sending, 0) as room
  from receiver r
  left join event_subscription s on s.id = r.name
  left join leased l on l.name = r.name
  where r.name is not null
),
turn as (
  select d.id, d.created_at, d.next_at, t.proven,
         row_number() over (partition by t.name order by d.next_at, d.id) as place
  from standing t
  cross join lateral (
    select d.id, d.created_at, d.next_at
    from delivery d
    where d.state = 'due' and coalesce(d.subscription_id, d.destination) = t.name and d.next_at <= now()
      and d.kind = any (:kinds) and (d.claimed_until is null or d.claimed_until < now())
    order by d.next_at, d.id
    limit greatest(t.room, 0)
  ) d
),
chosen as (
  select t.*, row_number() over (partition by t.proven order by t.place, t.next_at, t.id) as rank from turn t
),
locked as (
  select d.id, d.created_at, c.proven
  from chosen c join delivery d on d.id = c.id and d.created_at = c.created_at
  where (c.proven or c.rank <= :unproven)
    and d.state = 'due' and (d.claimed_until is null or d.claimed_until < now())
  order by c.place, c.next_at
  limit :limit
  for update of d skip locked
)
update delivery d
set attempts = d.attempts + 1, claimed_until = now() + make_interval(secs => :lease_seconds)
from locked l
where d.id = l.id and d.created_at = l.created_at
returning d.id, d.created_at, d.organization_id, d.kind, d.subject, d.destination, d.event_id, d.subscription_id,
  d.attempts, d.first_attempt, l.proven;

-- name: put_back
-- A delivery that did not come to be attempted under its lease.
update delivery set claimed_until = null, attempts = attempts - 1
where id = :id and created_at = :created_at and state = 'due' and attempts = :attempts;

-- name: record
-- What became of attempts, nothing where another attempt has begun since; and the health of the
-- subscriptions they were for. Rows: the subscriptions that it makes no sense to go on with.
with told as (
  select * from unnest(:ids::text[], :created::timestamptz[], :attempts::integer[], :states::text[],
                       :statuses::integer[], :errors::text[], :pauses::float8[], :sent::boolean[])
    as t (id, created_at, attempts, state, status, error, pause, sent)
),
changed as (
  update delivery d
  set state = t.state, http_status = t.status, error = t.error, claimed_until = null,
      next_at = case when t.state = 'due' then now() + make_interval(secs => t.pause) else d.next_at end,
      delivered_at = case when t.state = 'delivered' then now() end
  from told t
  where d.id = t.id and d.created_at = t.created_at and d.state = 'due' and d.attempts = t.attempts
  returning d.subscription_id, d.created_at, t.state, t.status, t.sent
),
health as (
  select subscription_id, bool_or(state = 'delivered') as taken, count(*) as attempts,
         count(*) filter (where state = 'dead') as dead, min(created_at) filter (where state = 'dead') as since,
         bool_or(coalesce(status = 410, false)) as gone
  from changed
  where subscription_id is not null and sent
  group by subscription_id
)
update event_subscription s
set failures = case when h.taken then 0 else s.failures + h.attempts end,
    succeeded_at = case when h.taken then now() else s.succeeded_at end,
    dead_in_row = case when h.taken then 0 else s.dead_in_row + h.dead end,
    failing_since = case when h.taken then null else coalesce(s.failing_since, h.since) end,
    gone = s.gone or h.gone
from health h
where s.id = h.subscription_id
  and (not h.taken or h.gone or s.failures > 0 or s.dead_in_row > 0 or s.succeeded_at is null)
returning s.organization_id, s.id,
  s.active and (s.gone or s.dead_in_row >= :most_dead and s.failing_since <= now() - make_interval(hours => :hours))
    as hopeless;
