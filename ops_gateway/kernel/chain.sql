-- name: snapshot
set transaction isolation level repeatable read, read only;

-- name: organizations
-- Also those that only forged rows name.
select organization_id from organization
union select organization_id from chain_head
union select organization_id from lineage
union select organization_id from audit
union select organization_id from journal
order by 1;

-- name: chains
select chain, seq, problem from verify_chains(:org) order by chain, seq;

-- name: head
select jsonb_build_object(
  'lineage', jsonb_build_object('seq', lineage_seq, 'hash', encode(lineage_hash, 'hex'), 'base_seq', 0, 'base_hash', '00'),
  'audit', jsonb_build_object('seq', audit_seq, 'hash', encode(audit_hash, 'hex'),
                              'base_seq', audit_base_seq, 'base_hash', encode(audit_base_hash, 'hex')),
  'ledger', jsonb_build_object('seq', ledger_seq, 'hash', encode(ledger_hash, 'hex'), 'base_seq', 0, 'base_hash', '00')
) as chains
from chain_head where organization_id = :org;

-- name: link
select encode(hash, 'hex') as hash from lineage where :chain = 'lineage' and organization_id = :org and seq = :seq
union all
select encode(hash, 'hex') from audit where :chain = 'audit' and organization_id = :org and seq = :seq
union all
select encode(hash, 'hex') from journal where :chain = 'ledger' and organization_id = :org and seq = :seq;

-- name: changed
select organization_id from chain_head
where :since::timestamptz is null or updated_at > :since
order by organization_id;

-- name: lineage_rows
select l.seq, encode(l.prev, 'hex') as prev, encode(l.hash, 'hex') as hash, lineage_text(l) as text
from lineage l where l.organization_id = :org order by l.seq;

-- name: audit_rows
select a.seq, encode(a.prev, 'hex') as prev, encode(a.hash, 'hex') as hash, audit_text(a) as text
from audit a where a.organization_id = :org order by a.seq;

-- name: ledger_rows
select j.seq, encode(j.prev, 'hex') as prev, encode(j.hash, 'hex') as hash,
       journal_text(j, journal_entries(j.id)) as text
from journal j where j.organization_id = :org order by j.seq;

-- name: ledger
with sums as (
  select journal_id, sum(amount) as total, count(*) as lines from entry group by journal_id
),
by_account as (
  select account_id, sum(amount) as total from entry group by account_id
),
opened as (
  select hold_id, count(*) as times, sum(amount) as amount from journal where kind = 'hold' group by hold_id
),
ended as (
  select hold_id, count(*) as times, min(kind) as kind, sum(charged) as charged
  from journal where kind in ('settle', 'void') group by hold_id
)
select 'platform' as organization_id, 'ledger' as place, format('all entries sum to %s, not 0', total) as problem
from (select coalesce(sum(amount), 0) as total from entry) t where total <> 0
union all
select j.organization_id, 'journal ' || j.id,
       format('is not balanced: %s lines sum to %s', coalesce(s.lines, 0), coalesce(s.total, 0))
from journal j left join sums s on s.journal_id = j.id
where coalesce(s.total, 0) <> 0 or coalesce(s.lines, 0) < 2
union all
select coalesce(j.organization_id, e.organization_id), format('entry %s of %s', e.account_id, e.journal_id),
       case when j.id is null then 'belongs to no journal'
            when a.id is null then 'names an account that is not there'
            else 'names another organization than its journal or account' end
from entry e left join journal j on j.id = e.journal_id left join account a on a.id = e.account_id
where j.id is null or a.id is null or e.organization_id <> j.organization_id
   or a.organization_id not in (e.organization_id, 'platform')
union all
select a.organization_id, 'account ' || a.id, format('has %s credits: less than none', a.balance)
from account a where a.balance < 0
union all
select a.organization_id, 'account ' || a.id,
       format('says %s credits where its entries sum to %s', a.balance, coalesce(b.total, 0))
from account a left join by_account b on b.account_id = a.id
where a.balance is not null and a.balance <> coalesce(b.total, 0)
union all
select a.organization_id, 'account ' || a.id,
       format('holds %s credits where the open reservations sum to %s', a.balance, coalesce(h.total, 0))
from account a
left join (select organization_id, sum(amount) as total from hold where state = 'open' group by organization_id) h
  using (organization_id)
where a.kind = 'held' and a.balance <> coalesce(h.total, 0)
union all
select o.organization_id, 'organization', 'has no wallet'
from organization o
where (select count(*) from account a where a.organization_id = o.organization_id and a.kind in ('available', 'held')) <> 2
union all
select h.organization_id, 'hold ' || h.id, 'was not opened by exactly one journal of its amount'
from hold h left join opened o on o.hold_id = h.id
where coalesce(o.times, 0) <> 1 or o.amount <> h.amount
union all
select h.organization_id, 'hold ' || h.id, 'does not end as its journals say'
from hold h left join ended e on e.hold_id = h.id
where (h.state = 'open' and e.hold_id is not null)
   or (h.state <> 'open' and (coalesce(e.times, 0) <> 1
       or e.kind <> case h.state when 'settled' then 'settle' else 'void' end
       or e.charged <> coalesce(h.settled, 0)))
union all
select j.organization_id, 'journal ' || j.id, 'names a reservation that is not there'
from journal j left join hold h on h.id = j.hold_id and h.organization_id = j.organization_id
where j.hold_id is not null and h.id is null
union all
select h.organization_id, 'hold ' || h.id, 'is open though its job has ended'
from hold h join job on job.id = h.job_id
where h.state = 'open' and job.status in ('completed', 'failed', 'cancelled')
  and job.completed_at < now() - interval '10 minutes'
order by 1, 2, 3;
