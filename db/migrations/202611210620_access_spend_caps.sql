-- A key's spend cap. What is reserved and charged counts where reservations are made and ended, so that no door
-- and no duty goes past it; every writer of an organization's reservations has its wallet locked by then.

alter table api_key
  add column spend_cap bigint check (spend_cap >= 0),
  add column held bigint not null default 0,
  add column spent bigint not null default 0,
  add column minted_by text references api_key,
  -- the capped keys that this one spends from: itself, and those it was minted by
  add column budgets text[] not null default '{}';
create index on api_key (minted_by) where minted_by is not null;

alter table hold add column budgets text[] not null default '{}';

create function hold_counts() returns trigger language plpgsql set search_path = opstac, pg_temp as $$
declare
  k record;
begin
  select a.budgets into new.budgets from api_key a
  where a.id = current_setting('opstac.spender') and a.organization_id = new.organization_id;
  new.budgets := coalesce(new.budgets, '{}');
  if new.budgets <> '{}' then
    for k in
      update api_key a set held = a.held + new.amount where a.id = any (new.budgets)
      returning a.id, a.spend_cap, a.spent, a.held - new.amount as held
    loop
      if k.spent + k.held + new.amount > k.spend_cap then
        raise exception 'the spend cap of % is reached', k.id using errcode = 'OP006', detail =
          jsonb_build_object('key_id', k.id, 'spend_cap_credits', k.spend_cap, 'spent_credits', k.spent,
                             'held_credits', k.held, 'needed_credits', new.amount);
      end if;
    end loop;
  end if;
  return new;
end $$;
create trigger hold_counts before insert on hold for each row
  when (coalesce(current_setting('opstac.spender', true), '') <> '') execute function hold_counts();

create function hold_ends() returns trigger language plpgsql set search_path = opstac, pg_temp as $$
begin
  update api_key a
  set held = a.held - case when old.state = 'open' then old.amount else 0 end
                    + case when tg_op = 'UPDATE' and new.state = 'open' then new.amount else 0 end,
      spent = a.spent - coalesce(old.settled, 0)
                      + case when tg_op = 'UPDATE' then coalesce(new.settled, 0) else 0 end
  where a.id = any (old.budgets);
  return null;
end $$;
create trigger hold_ends after update or delete on hold for each row
  when (old.budgets <> '{}') execute function hold_ends();

create function key_budgets() returns table (key_id text, held bigint, spent bigint, true_held bigint, true_spent bigint)
language sql stable set search_path = opstac, pg_temp as $$
  select k.id, k.held, k.spent, coalesce(sum(h.amount) filter (where h.state = 'open'), 0)::bigint,
         coalesce(sum(h.settled), 0)::bigint
  from api_key k left join hold h on h.organization_id = k.organization_id and h.budgets @> array[k.id]
  where k.organization_id = org() and k.spend_cap is not null
  group by k.id
$$;
comment on function key_budgets is 'What is counted for each capped key, and what its reservations sum up to.';

create function restore_budgets() returns table (key_id text, amount bigint)
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  -- as every writer of reservations does, so that none comes in between
  perform 1 from account where organization_id = org() and kind in ('available', 'held') order by kind for no key update;
  return query
    update api_key k set held = t.true_held, spent = t.true_spent
    from key_budgets() t
    where k.id = t.key_id and (t.held, t.spent) is distinct from (t.true_held, t.true_spent)
    returning k.id, t.true_held + t.true_spent - t.held - t.spent;
end $$;
comment on function restore_budgets is
  'Bring what is counted for capped keys to the sum of their reservations; which were off, and by how much.';
revoke all on function restore_budgets from public;
alter function restore_budgets owner to opstac_system;
grant execute on function restore_budgets, key_budgets to opstac_app;
