-- Who signs up by a mailed link chooses the password on its page: no account is made before.

create table sign_up (
  digest bytea primary key,
  email text not null,
  name text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
comment on table sign_up is
  'Somebody typed this address to make an account; whoever reads its mails makes it. Of the link''s token a hash.';
create index on sign_up (expires_at);
grant select, insert, delete on sign_up to opstac_identity;
grant select, delete on sign_up to opstac_system;

-- Those under way confirm accounts whose password somebody else may have chosen. Who is signed in to
-- such an account asks for another, and whoever reads the mails has a new password by /lost-password.
update mail_token set used_at = now() where kind = 'confirm' and used_at is null;
