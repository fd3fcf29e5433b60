-- What was charged while an organization was paid afterwards is owed whatever plan it is on later, and a line of credit
-- that ends is taken back.

create function on_credit(p_at timestamptz) returns boolean
language sql stable set search_path = opstac, pg_temp as $$
  select coalesce((
    select p.credit_line > 0
    from plan p
    where p.valid_from <= p_at
      and p.id = coalesce((select a.plan_id from organization_plan a
                           where a.organization_id = org() and a.valid_from <= p_at
                             and (a.valid_until is null or a.valid_until > p_at)), 'free')
    order by p.valid_from desc limit 1), false)
$$;
comment on function on_credit is
  'Whether the bound organization was paid afterwards at a time. A charge is what it was when its credits were reserved.';
revoke all on function on_credit from public;
grant execute on function on_credit to opstac_app;

-- a line may end and be given again on one day; by how much, its giver reckons under a lock
alter table credit_lot drop constraint credit_lot_organization_id_source_period_key;
create unique index credit_lot_monthly on credit_lot (organization_id, period) where source = 'monthly';
create index credit_lot_of on credit_lot (organization_id, source);
