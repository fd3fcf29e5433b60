-- People's passwords, their sign-ins and what they approve. No tenant's tables: a person may belong
-- to no organization. Role opstac_identity reaches them and the people, and nothing else.

create table user_password (
  user_id uuid primary key references app_user,
  hash text not null,
  changed_at timestamptz not null default now()
);
comment on table user_password is 'Argon2id (RFC 9106), in its own encoded form.';

create table user_identity (
  issuer text not null,
  subject text not null,
  user_id uuid not null references app_user,
  created_at timestamptz not null default now(),
  primary key (issuer, subject)
);
comment on table user_identity is 'Who a person is at another identity provider.';

create table sign_in (
  id text primary key,
  user_id uuid not null references app_user,
  client_id text not null,
  scope text not null,
  authenticated_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz
);
comment on table sign_in is 'A family of tokens, by the `sid` they carry. Ended, none of them holds.';
create index on sign_in (user_id);
create index on sign_in (expires_at);

create table refresh_token (
  digest bytea primary key,
  sign_in_id text not null references sign_in on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
create index on refresh_token (sign_in_id);

create table browser_session (
  digest bytea primary key,
  user_id uuid not null references app_user,
  signed_in_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index on browser_session (user_id);

create table device_grant (
  digest bytea primary key,
  user_code text not null unique,
  client_id text not null,
  scope text not null,
  code_challenge text not null,
  address text not null,
  state text not null default 'pending' check (state in ('pending', 'approved', 'denied', 'exchanged')),
  user_id uuid references app_user,
  authenticated_at timestamptz,
  interval_seconds integer not null,
  polled_at timestamptz,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  check ((state in ('approved', 'exchanged')) = (user_id is not null))
);
comment on table device_grant is 'RFC 8628: a device that waits for a person to approve it.';
create index on device_grant (expires_at);

create table authorization_code (
  digest bytea primary key,
  client_id text not null,
  redirect_uri text,
  scope text not null,
  nonce text,
  code_challenge text not null,
  user_id uuid not null references app_user,
  authenticated_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  sign_in_id text references sign_in on delete set null
);
comment on table authorization_code is 'RFC 6749 section 4.1 with PKCE; used twice, it ends what it began.';
create index on authorization_code (expires_at);

create table sign_in_attempt (
  kind text not null,
  who text not null,
  begun_at timestamptz not null,
  count integer not null,
  primary key (kind, who)
);
comment on table sign_in_attempt is 'Failures by kind and by whom they are counted, in windows that begin with the first.';

create table session_key (
  singleton boolean primary key default true check (singleton),
  generation integer not null check (generation between 1 and 999999),
  rotated_at timestamptz not null,
  floor integer not null check (floor between 1 and generation)
);
comment on table session_key is
  'Which generation of the derived key signs session tokens now. The one before holds for ten minutes after a '
  'rotation, longer than a token lives; `floor` ends older ones at once.';
insert into session_key (generation, rotated_at, floor) values (1, now(), 1);

grant select, insert, update, delete on user_password, user_identity, sign_in, refresh_token, browser_session,
  device_grant, authorization_code, sign_in_attempt to opstac_identity;
grant select, insert, update on app_user to opstac_identity;
grant select on session_key to opstac_identity, opstac_system;
grant update on session_key to opstac_system;
grant select, delete on sign_in, refresh_token, browser_session, device_grant, authorization_code, sign_in_attempt
  to opstac_system;

create function session_generations() returns table (generation integer, floor integer)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select k.generation,
         case when k.rotated_at > now() - interval '10 minutes' then k.floor else k.generation end
  from session_key k
$$;
comment on function session_generations is 'The generation that signs, and the oldest whose tokens hold.';

-- a person behind a token: also whether the sign-in it came of has ended, and which keys hold
drop function authenticate_user(uuid);
create function authenticate_user(p_user uuid, p_sign_in text)
returns table (
  id uuid, email text, name text, disabled boolean, organization_id text, slot text, role text, projects jsonb,
  ended boolean, generation integer, floor integer
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select u.id, u.email, u.name, u.disabled_at is not null, m.organization_id, s.slot, m.role,
         case when m.role in ('owner', 'admin') then null
              else coalesce((select jsonb_object_agg(pm.project_id, pm.role)
                             from project_member pm join project p on p.id = pm.project_id
                             where pm.user_id = u.id and pm.organization_id = m.organization_id
                               and p.deleted_at is null), '{}') end,
         exists (select from sign_in si where si.id = p_sign_in and (si.ended_at is not null or si.user_id <> u.id)),
         k.generation, k.floor
  from session_generations() k, app_user u
  left join (organization_member m join organization o on o.organization_id = m.organization_id
             and o.deleted_at is null) on m.user_id = u.id
  left join organization_slot s on s.organization_id = m.organization_id
  where u.id = p_user
$$;

alter function authenticate_user(uuid, text) owner to opstac_system;
alter function session_generations() owner to opstac_system;
revoke execute on function authenticate_user(uuid, text), session_generations() from public;
grant execute on function authenticate_user(uuid, text), session_generations() to opstac_app, opstac_tiler;
grant execute on function authenticate_key, session_generations() to opstac_identity;

-- ---------------------------------------------------------------- invitations to an organization

create table invitation (
  id text primary key,
  organization_id text not null references organization,
  token_sha256 bytea not null unique,
  email text not null,
  role text not null check (role in ('owner', 'admin', 'member', 'billing', 'viewer')),
  invited_by uuid references app_user,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid references app_user,
  revoked_at timestamptz
);
create index on invitation (organization_id, created_at desc);
call protect('invitation');
grant select, insert, update on invitation to opstac_app;

-- who holds the token may know what it is for, whatever organization is theirs
create function find_invitation(p_token bytea)
returns table (id text, organization_id text, organization text, email text, role text, state text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.id, i.organization_id, o.name, i.email, i.role,
         case when i.accepted_at is not null then 'accepted' when i.revoked_at is not null then 'revoked'
              when i.expires_at <= now() or o.deleted_at is not null then 'expired' else 'pending' end
  from invitation i join organization o using (organization_id)
  where i.token_sha256 = p_token
$$;
alter function find_invitation(bytea) owner to opstac_system;
revoke execute on function find_invitation(bytea) from public;
grant execute on function find_invitation(bytea) to opstac_app;
