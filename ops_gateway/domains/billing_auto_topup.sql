-- name: settings
select * from auto_topup where organization_id = :org;

-- name: set
insert into auto_topup (organization_id, enabled, threshold_credits, topup_credits, daily_cap_credits, updated_by)
values (:org, :enabled, :threshold, :amount, :cap, :by)
on conflict (organization_id) do update
  set enabled = excluded.enabled, threshold_credits = excluded.threshold_credits,
      topup_credits = excluded.topup_credits, daily_cap_credits = excluded.daily_cap_credits,
      failures = 0, disabled_reason = null, next_at = now(), updated_by = excluded.updated_by, updated_at = now();

-- name: watch
select watch_credits(:threshold);

-- name: due
-- Wanted now: on, below, not waiting after a failure or for the day to end, and none under way.
select t.organization_id
from auto_topup t
join account a on a.organization_id = t.organization_id and a.kind = 'available'
join organization o on o.organization_id = t.organization_id and o.deleted_at is null
where t.enabled and t.next_at <= now() and a.balance < t.threshold_credits
  and not exists (select from payment p where p.organization_id = t.organization_id and p.kind = 'auto'
                  and p.state in ('started', 'requires_action'))
order by t.next_at limit :limit;

-- name: lock
-- One at a time; all else is looked at under this, by a statement of its own.
select enabled from auto_topup where organization_id = :org for update skip locked;

-- name: state
select t.*, a.balance as available,
       (select coalesce(sum(p.credits), 0) from payment p
        where p.organization_id = :org and p.kind = 'auto' and p.state in ('started', 'requires_action', 'succeeded')
          and p.created_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC')::bigint as today,
       (select coalesce(sum(p.returned_credits - p.taken_credits), 0) from payment p
        where p.organization_id = :org and p.returned_credits > p.taken_credits)::bigint as owed,
       exists (select from payment p where p.organization_id = :org and p.kind = 'auto'
               and p.state in ('started', 'requires_action')) as under_way
from auto_topup t join account a on a.organization_id = :org and a.kind = 'available'
where t.organization_id = :org;

-- name: until_tomorrow
update auto_topup
set next_at = date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' + interval '1 day', updated_at = now()
where organization_id = :org;

-- name: until_allowed
-- What was bought without an approval counts for a day.
update auto_topup set next_at = now() + interval '1 hour', updated_at = now() where organization_id = :org;

-- name: disable
update auto_topup set enabled = false, disabled_reason = :reason, updated_at = now() where organization_id = :org;
