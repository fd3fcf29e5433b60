-- name: wallet
select lock_wallet() as available;

-- name: lots
select journal_id, credits, expired, granted_at, expires_at from credit_lot
where organization_id = :org and expires_at is not null
order by expires_at, granted_at, journal_id;

-- name: takings
-- What was taken away but for lots that expired: purchases that went back to the card, corrections, lines of credit.
select j.created_at as at, -sum(j.amount)::bigint as credits
from journal j
where j.organization_id = :org and j.amount < 0
  and (j.kind in ('topup', 'correction') or (j.kind = 'expiry' and j.reference_type is distinct from 'credit_lot'))
group by 1 order by 1;

-- name: moved
-- What was used or is set aside, and what came that does not expire, by the stretch of time. Credits that come at the
-- very time at which some are taken came before.
select part, sum(used)::bigint as used, sum(came)::bigint as came
from (
  select width_bucket(h.created_at, :bounds::timestamptz[]) as part,
         case h.state when 'settled' then h.settled when 'open' then h.amount else 0 end as used, 0 as came
  from hold h
  where h.organization_id = :org
  union all
  select width_bucket(j.created_at - interval '1 microsecond', :bounds::timestamptz[]), 0, j.amount
  from journal j
  where j.organization_id = :org and j.amount > 0 and j.kind in ('grant', 'topup', 'refund', 'correction')
    and not exists (select from credit_lot l where l.journal_id = j.id and l.expires_at is not null)
) m
group by 1 order by 1;

-- name: write_off
update credit_lot set expired = expired + :credits where organization_id = :org and journal_id = :journal;

-- name: lines
select coalesce(sum(credits - expired), 0)::bigint as given from credit_lot
where organization_id = :org and source = 'line';

-- name: owed
-- What was charged to be paid afterwards and is on no invoice, or is set aside.
select coalesce(sum(case h.state when 'open' then h.amount else h.settled end), 0)::bigint as credits
from hold h
where h.organization_id = :org and h.state in ('open', 'settled') and on_credit(h.created_at)
  and not exists (select from journal j join billed_charge b on b.journal_id = j.id
                  where j.organization_id = :org and j.hold_id = h.id and j.kind = 'settle');

-- name: open_lines
select journal_id, credits - expired as left from credit_lot
where organization_id = :org and source = 'line' and credits > expired
order by granted_at desc, journal_id desc;
