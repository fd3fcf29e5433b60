-- name: wallet
select lock_wallet() as available;

-- name: lots
select journal_id, credits, expired, granted_at, expires_at from credit_lot
where organization_id = :org and expires_at is not null
order by expires_at, granted_at, journal_id;

-- name: taken
-- What was used or is set aside, by the stretch of time in which it was asked for.
select width_bucket(h.created_at, :bounds::timestamptz[]) as part,
       sum(case h.state when 'settled' then h.settled when 'open' then h.amount else 0 end)::bigint as credits
from hold h
where h.organization_id = :org and h.created_at >= :since
group by 1 order by 1;

-- name: write_off
update credit_lot set expired = expired + :credits where organization_id = :org and journal_id = :journal;
