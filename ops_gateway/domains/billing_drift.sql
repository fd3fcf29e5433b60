-- name: bytes
-- Files of a deleted project count no more; they are there, and in the ledger, until their batch.
select o.storage_used_bytes as counted, c.countable, l.live, e.ledger
from organization o
cross join lateral (
  select coalesce(sum(f.size_bytes), 0)::bigint as countable
  from (select distinct on (a.object_path) a.size_bytes from asset a
        where a.organization_id = :org and a.deleted_at is null and a.object_path is not null
        order by a.object_path) f) c
cross join lateral (
  select coalesce(sum(s.size_bytes), 0)::bigint as live from stored_objects() s) l
cross join lateral (
  select coalesce(sum(s.bytes_delta), 0)::bigint as ledger from storage_entry s where s.organization_id = :org) e
where o.organization_id = :org;

-- name: objects
-- Objects whose bytes are not what the ledger of bytes says.
with live as (
  select s.object_path, s.asset_id, s.size_bytes from stored_objects() s
), net as (
  select s.object_path, sum(s.bytes_delta)::bigint as bytes, max(s.asset_id) as asset_id
  from storage_entry s where s.organization_id = :org group by 1
)
select case when coalesce(n.bytes, 0) < 0 then 'storage_negative'
            when l.object_path is null then 'storage_stale'
            when coalesce(n.bytes, 0) = 0 then 'storage_missing'
            else 'storage_size' end as kind,
       object_path as subject, coalesce(l.asset_id, n.asset_id) as asset_id,
       coalesce(l.size_bytes, 0)::bigint as expected, coalesce(n.bytes, 0)::bigint as found
from live l full join net n using (object_path)
where coalesce(l.size_bytes, 0) <> coalesce(n.bytes, 0)
order by 1, 2;

-- name: wallet
select 'wallet' as kind, a.id as subject, coalesce(sum(e.amount), 0)::bigint as expected, a.balance as found
from account a left join entry e on e.account_id = a.id
where a.organization_id = :org and a.balance is not null
group by a.id
having coalesce(sum(e.amount), 0) <> a.balance
order by a.id;

-- name: below_zero
-- What the ledger says is owed: more was taken than there was.
select -coalesce(sum(e.amount), 0)::bigint as owed from entry e
where e.organization_id = :org and e.account_id = :org || ':available';

-- name: journals
select 'journal_unbalanced' as kind, j.id as subject, 0 as expected, coalesce(sum(e.amount), 0)::bigint as found
from journal j left join entry e on e.journal_id = j.id
where j.organization_id = :org
group by j.id
having coalesce(sum(e.amount), 1) <> 0 or count(e.amount) < 2
order by j.id;

-- name: holds
-- Reservations whose rows say otherwise than what was posted, open ones that nobody will end, and capped keys for which
-- other sums are counted than theirs.
select 'hold' as kind, h.id as subject, coalesce(p.reserved - p.ended, 0)::bigint as expected,
       case h.state when 'open' then h.amount else 0 end as found
from hold h
cross join lateral (
  select sum(j.amount) filter (where j.kind = 'hold') as reserved,
         coalesce(sum(j.amount) filter (where j.kind in ('settle', 'void')), 0) as ended,
         max(j.charged) filter (where j.kind = 'settle') as charged
  from journal j where j.hold_id = h.id) p
where h.organization_id = :org
  and (p.reserved is distinct from h.amount
       or (p.ended > 0) <> (h.state <> 'open')
       or (p.ended > 0 and p.charged is distinct from h.settled))
union all
select 'job_unsettled', coalesce(u.job_id, u.hold_id), 0, h.amount
from unsettled_holds(:org, 10000) u join hold h on h.organization_id = :org and h.id = u.hold_id
union all
select 'spend_cap', k.key_id, k.true_held + k.true_spent, k.held + k.spent
from key_budgets() k where (k.held, k.spent) is distinct from (k.true_held, k.true_spent)
order by 1, 2;

-- name: add_bytes
insert into storage_entry (organization_id, object_path, asset_id, bytes_delta, kind)
values (:org, :path, :asset_id, :bytes, :kind);

-- name: set_counter
update organization set storage_used_bytes = :bytes, updated_at = now() where organization_id = :org;

-- name: lock
select organization_id from organization where organization_id = :org for no key update;

-- name: balance_journals
select journal_id as subject, amount from balance_journals();

-- name: restore_wallet
select kind as subject, amount from restore_wallet();

-- name: repair_holds
select hold_id as subject, problem, amount, open, job_id from repair_holds();

-- name: restore_budgets
select key_id as subject, amount from restore_budgets();

-- name: insert_correction
insert into reconciliation_correction (id, organization_id, kind, subject, unit, amount, reason, actor)
values (:id, :org, :kind, :subject, :unit, :amount, :reason, :actor)
returning id, organization_id, kind, subject, unit, amount, reason, actor, created_at;
