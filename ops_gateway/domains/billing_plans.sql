-- name: plans
select id, name, description, currency, monthly_fee_cents, monthly_credits, credit_months, credit_line,
       needs_approval, limits, features, valid_from, valid_until
from plan
where valid_from <= :at and (valid_until is null or valid_until > :at)
order by monthly_fee_cents, credit_line, id;

-- name: plan_of
-- What the organization is on at a time; a plan that is not offered any more goes on as it was last.
select p.id, p.name, p.description, p.currency, p.monthly_fee_cents, p.monthly_credits, p.credit_months,
       p.credit_line, p.needs_approval, p.limits, p.features, p.valid_from, p.valid_until,
       (select f.state from free_tier f where f.organization_id = :org) as free_state
from plan p
where p.valid_from <= :at
  and p.id = coalesce((select a.plan_id from organization_plan a
                       where a.organization_id = :org and a.valid_from <= :at
                         and (a.valid_until is null or a.valid_until > :at)), 'free')
order by p.valid_from desc
limit 1;

-- name: organization
select organization_id, name, details, storage_used_bytes, storage_reserved_bytes, storage_quota_bytes, created_at
from organization where organization_id = :org and deleted_at is null;

-- name: used
select coalesce((select sum(u.value) from usage_counter u
                 where u.organization_id = :org and u.metric = 'tile_requests'
                   and u.day >= :since::date and u.day < :until::date), 0)::bigint as tile_requests,
       coalesce((select sum(j.charged) from journal j
                 where j.organization_id = :org and j.kind = 'settle'
                   and j.created_at >= :since and j.created_at < :until), 0)::bigint as credits_used,
       (select count(*) from job b
        where b.organization_id = :org and b.created_at >= :since and b.created_at < :until) as jobs;

-- name: threshold
select value from threshold
where name = :name and valid_from <= :at and (valid_until is null or valid_until > :at);

-- name: insert_lot
insert into credit_lot (journal_id, organization_id, source, period, plan_id, credits, granted_at, expires_at)
values (:journal, :org, :source, :period, :plan, :credits, :at, :expires_at);

-- name: lot
select journal_id, credits from credit_lot
where organization_id = :org and source = 'monthly' and period = :period;

-- name: lines
select coalesce(sum(credits - expired), 0)::bigint as credits from credit_lot where organization_id = :org and source = 'line';

-- name: lock
-- Whoever changes what an organization was given waits for the other.
select pg_advisory_xact_lock(hashtextextended('billing/' || :org, 0)) is null as locked;

-- name: clock
select now() as at;

-- name: assign
insert into organization_plan (organization_id, plan_id, assigned_by, valid_from)
values (:org, :plan, :by, :at);

-- name: set_quota
-- Nothing that is stored or reserved is put beyond it.
update organization
set storage_quota_bytes = greatest(coalesce((:bytes)::bigint, greatest(storage_quota_bytes, (:begin)::bigint)),
                                   storage_used_bytes + storage_reserved_bytes), updated_at = now()
where organization_id = :org;

-- name: assigned_at
select plan_id from organization_plan where organization_id = :org and valid_from = :at;

-- name: offered
select id from plan where id = :plan and valid_from <= :at and (valid_until is null or valid_until > :at);
