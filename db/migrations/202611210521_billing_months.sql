-- The month end: what an organization was charged, gave and was given is closed once for each month.

create table invoice (
  id text primary key,
  organization_id text not null references organization,
  number text not null,
  kind text not null check (kind in ('monthly', 'enterprise')),
  status text not null check (status in ('paid', 'open', 'invoiced')),
  month date not null check (extract(day from month) = 1),
  currency text not null,
  credits bigint not null check (credits >= 0),
  subtotal_cents bigint not null check (subtotal_cents >= 0),
  tax_basis_points bigint not null check (tax_basis_points between 0 and 10000),
  tax_cents bigint not null check (tax_cents >= 0),
  total_cents bigint not null check (total_cents = subtotal_cents + tax_cents),
  reference text,
  note text,
  issued_at timestamptz not null,
  unique (organization_id, number),
  unique (organization_id, id)
);
create unique index invoice_reference on invoice (organization_id, reference) where reference is not null;
create index on invoice (organization_id, issued_at desc, id);
call protect('invoice');
grant select, insert on invoice to opstac_app;
comment on column invoice.credits is 'Credits charged that it names, each of them on no other invoice.';

create table invoice_line (
  organization_id text not null,
  invoice_id text not null,
  position integer not null,
  description text not null,
  quantity bigint not null,
  credits bigint not null,
  amount_cents bigint not null,
  primary key (invoice_id, position),
  foreign key (organization_id, invoice_id) references invoice (organization_id, id)
);
call protect('invoice_line');
grant select, insert on invoice_line to opstac_app;

create table billed_charge (
  journal_id text primary key references journal,
  organization_id text not null,
  invoice_id text not null references invoice deferrable initially deferred,
  credits bigint not null check (credits > 0)
);
create index on billed_charge (organization_id, invoice_id);
call protect('billed_charge');
grant select, insert on billed_charge to opstac_app;
comment on table billed_charge is 'Which invoice a charge of the ledger is on; one at most.';

create table monthly_run (
  organization_id text not null references organization,
  month date not null check (extract(day from month) = 1),
  plan_id text not null,
  invoice_id text references invoice,
  charged_credits bigint not null,
  accrued_credits bigint not null,
  expired_credits bigint not null,
  granted_credits bigint not null,
  closed_at timestamptz not null,
  primary key (organization_id, month)
);
comment on table monthly_run is 'A month that is closed, with what its close did.';
comment on column monthly_run.accrued_credits is 'Charged in the month on a plan that is paid afterwards, and on no invoice at the close.';
call protect('monthly_run');
grant select, insert on monthly_run to opstac_app;

create trigger append_only before update or delete on invoice for each row execute function append_only();
create trigger append_only before update or delete on invoice_line for each row execute function append_only();
create trigger append_only before update or delete on billed_charge for each row execute function append_only();
create trigger append_only before update or delete on monthly_run for each row execute function append_only();

create function invoice_adds_up() returns trigger language plpgsql as $$
declare
  lines record;
  charged numeric;
begin
  select coalesce(sum(amount_cents), 0) as cents into lines from opstac.invoice_line where invoice_id = new.id;
  select coalesce(sum(b.credits), 0) into charged from opstac.billed_charge b where b.invoice_id = new.id;
  if lines.cents <> new.subtotal_cents or charged <> new.credits then
    raise exception 'invoice % does not add up', new.id using errcode = 'OP003';
  end if;
  return null;
end $$;
create constraint trigger invoice_adds_up after insert on invoice
  deferrable initially deferred for each row execute function invoice_adds_up();

create index on hold (organization_id, created_at);

create function lock_wallet() returns bigint
language plpgsql security definer set search_path = opstac, pg_temp as $$
begin
  -- in the order in which kernel_finish locks them
  perform 1 from account where organization_id = org() and kind in ('available', 'held') order by kind for no key update;
  return (select balance from account where organization_id = org() and kind = 'available');
end $$;
comment on function lock_wallet is 'Available credits of the bound organization, which nobody else changes until the commit.';

create function organizations_due(p_month date) returns table (organization_id text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select o.organization_id
  from organization o
  where o.deleted_at is null
    and o.created_at < (p_month + interval '1 month') at time zone 'UTC'
    and not exists (select from monthly_run r where r.organization_id = o.organization_id and r.month = p_month)
  order by o.organization_id
$$;
comment on function organizations_due is 'Organizations that were there in a month which is not closed for them.';

revoke all on function lock_wallet, organizations_due from public;
alter function lock_wallet owner to opstac_system;
alter function organizations_due owner to opstac_system;
grant execute on function lock_wallet, organizations_due to opstac_app;
