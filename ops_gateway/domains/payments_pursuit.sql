-- name: lease
-- One at a time: whoever is charging holds the row by its time, not by a lock.
update payment
set attempts = attempts + 1, next_at = now() + make_interval(secs => :lease), updated_at = now()
where organization_id = :org and id = (
  select id from payment where organization_id = :org and id = :id and next_at <= now()
    and (state in ('started', 'requires_action') or returned_credits <> taken_credits)
  for update skip locked)
returning *, now() - created_at as age,
  (select m.provider_id from payment_method m
   where m.organization_id = :org and m.id = payment.payment_method_id) as card_id;

-- name: due
-- What is owed waits for a wallet with something in it.
select p.organization_id, p.id from payment p
where p.next_at <= now()
  and (p.state in ('started', 'requires_action') or p.returned_credits < p.taken_credits
       or (p.returned_credits > p.taken_credits
           and exists (select from account a where a.organization_id = p.organization_id
                       and a.kind = 'available' and a.balance > 0)))
order by p.next_at limit :limit;
