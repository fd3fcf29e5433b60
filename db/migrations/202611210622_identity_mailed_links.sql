-- Links that are mailed: a new password, and whose an address is. Of a token its hash is kept.

-- whoever is there already was made by the operator or comes from before mails could ask
alter table app_user add column email_verified_at timestamptz default now();
comment on column app_user.email_verified_at is
  'When the address was shown to be its person''s. Null for one that somebody typed at sign-up.';

create table mail_token (
  digest bytea primary key,
  kind text not null check (kind in ('confirm', 'reset')),
  user_id uuid not null references app_user,
  email text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
comment on table mail_token is 'For one use, while the account still has the address that it was sent to.';
create index on mail_token (user_id);
create index on mail_token (expires_at);
grant select, insert, update, delete on mail_token to opstac_identity;
grant select, delete on mail_token to opstac_system;

create function address_is_confirmed(p_user uuid) returns boolean
language sql stable security definer set search_path = opstac, pg_temp as $$
  select exists (select from app_user where id = p_user and email_verified_at is not null)
$$;
revoke all on function address_is_confirmed from public;
alter function address_is_confirmed owner to opstac_system;
grant execute on function address_is_confirmed to opstac_app;

-- nobody is sent mails by typing their address at sign-up
create or replace function member_addresses() returns table (email text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.email
  from organization_member m join app_user u on u.id = m.user_id
  where m.organization_id = opstac.org() and u.disabled_at is null and u.email is not null
    and u.email_verified_at is not null
  order by m.created_at, m.user_id
$$;
