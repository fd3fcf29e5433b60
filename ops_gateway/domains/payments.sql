-- name: by_intent
update payment
set attempts = attempts + 1, next_at = now() + make_interval(secs => :lease), updated_at = now()
where organization_id = :org and intent = :intent
returning *, (select m.provider_id from payment_method m
              where m.organization_id = :org and m.id = payment.payment_method_id) as card_id;

-- name: insert_payment
insert into payment (id, organization_id, intent, kind, credits, env, customer_id, payment_method_id, approval_id,
                     next_at, requested_by)
select :id, :org, :intent, :kind, :credits, c.env, c.provider_id, m.id, :approval,
       now() + make_interval(secs => :lease), :by
from payment_method m
join payment_customer c on c.organization_id = :org and c.env = m.env
where m.organization_id = :org and m.id = :card and m.detached_at is null and m.env = :env
returning *, (select m.provider_id from payment_method m
              where m.organization_id = :org and m.id = payment.payment_method_id) as card_id;

-- name: find_card
select id from payment_method
where organization_id = :org and detached_at is null and (:env::text is null or env = :env)
  and case when :id::text is null then is_default else id = :id end;

-- name: policy
select threshold_credits, second_person from approval_policy where organization_id = :org;

-- name: payment
select * from payment where organization_id = :org and id = :id;

-- name: lock_payment
select * from payment where organization_id = :org and id = :id for update;

-- name: succeed
update payment
set state = 'succeeded', provider_id = :provider_id, journal_id = :journal, error = null, error_code = null,
    updated_at = now()
where organization_id = :org and id = :id;

-- name: wait
update payment
set state = :state, provider_id = coalesce(:provider_id, provider_id),
    next_at = now() + make_interval(secs => :seconds), updated_at = now()
where organization_id = :org and id = :id;

-- name: fail
update payment
set state = :state, provider_id = coalesce(:provider_id, provider_id), error = :error, error_code = :code,
    updated_at = now()
where organization_id = :org and id = :id;

-- name: returned
update payment
set returned_credits = (:returned)::bigint, taken_credits = (:taken)::bigint,
    next_at = case when (:returned)::bigint <> (:taken)::bigint then now() + make_interval(secs => :seconds) else next_at end,
    updated_at = now()
where organization_id = :org and id = :id;

-- name: wallet
select sum(balance) filter (where kind = 'available')::bigint as available, sum(balance)::bigint as balance
from account where organization_id = :org and kind in ('available', 'held');

-- name: lock_wallet
select lock_wallet() as available;

-- name: approve
update approval
set status = 'approved', decided_by = :by, decided_at = now(), reason = null
where organization_id = :org and id = :id and status <> 'approved'
returning *;

-- name: auto_succeeded
update auto_topup set failures = 0, next_at = now(), updated_at = now() where organization_id = :org;

-- name: auto_failed
-- After the last failure it is off until somebody sets it again.
update auto_topup
set failures = failures + 1, enabled = failures + 1 < :most,
    disabled_reason = case when failures + 1 >= :most then :reason else disabled_reason end,
    next_at = now() + make_interval(mins => 10 * (failures + 1)), updated_at = now()
where organization_id = :org and enabled
returning enabled, failures, disabled_reason;

-- name: lock_owing
-- What went back to the card and was not taken yet, the oldest payment first.
select * from payment
where organization_id = :org and id <> :besides and returned_credits > taken_credits
order by created_at, id
for update;

-- name: lock_policy
-- Purchases without an approval follow one another. What they look at is read after this, by a statement of its own:
-- one that waits for a lock reads what was there before it waited.
select threshold_credits from approval_policy
where organization_id = :org and threshold_credits is not null
for update;

-- name: bought_alone
-- What was bought without an approval in the last 24 hours, whoever asked.
select coalesce(sum(p.credits), 0)::bigint as credits
from payment p
where p.organization_id = :org and p.kind in ('topup', 'auto')
  and p.state in ('started', 'requires_action', 'succeeded')
  and p.created_at > now() - interval '24 hours';

-- name: has_budget
select 1 from api_key where organization_id = :org and id = :key and budgets <> '{}';
