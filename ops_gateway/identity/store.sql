-- name: account
select u.id::text, u.email, u.name, u.disabled_at is not null as disabled, p.hash,
       u.email_verified_at is not null as verified, clock_timestamp() as asked_at
from app_user u left join user_password p on p.user_id = u.id
where lower(u.email) = lower(:email);

-- name: person
select u.id::text, u.email, u.name, u.disabled_at is not null as disabled,
       u.email_verified_at is not null as verified
from app_user u where u.id = :user;

-- name: add_person
insert into app_user (email, name, email_verified_at)
values (lower(:email), :name, case when :verified then now() end)
on conflict (email) do nothing returning id::text;

-- name: set_password
insert into user_password (user_id, hash) values (:user, :hash)
on conflict (user_id) do update set hash = excluded.hash, changed_at = now();

-- name: rehash
-- The same password: whoever is signed in with it stays so.
update user_password set hash = :hash where user_id = :user;

-- name: end_sign_ins
-- Every sign-in of a person, when the password changes or the account is closed.
update sign_in set ended_at = now() where user_id = :user and ended_at is null;

-- name: end_sessions
delete from browser_session where user_id = :user;

-- name: failures
select count from sign_in_attempt
where kind = :kind and who = :who and begun_at > now() - make_interval(secs => :seconds);

-- name: failed
insert into sign_in_attempt as a (kind, who, begun_at, count) values (:kind, :who, now(), 1)
on conflict (kind, who) do update set
  count = case when a.begun_at > now() - make_interval(secs => :seconds) then a.count + 1 else 1 end,
  begun_at = case when a.begun_at > now() - make_interval(secs => :seconds) then a.begun_at else now() end
returning count;

-- name: take_back
update sign_in_attempt set count = greatest(0, count - 1) where kind = :kind and who = :who;

-- name: forgive
delete from sign_in_attempt where kind = :kind and who = :who;

-- name: begin_sign_in
-- A new password ends what was approved before it, too, where tokens were not asked for yet.
insert into sign_in (id, user_id, client_id, scope, authenticated_at, expires_at)
select :id, :user, :client, :scope, :authenticated_at, now() + make_interval(secs => :seconds)
where not exists (select from user_password where user_id = :user and changed_at > :authenticated_at)
returning id;

-- name: add_refresh_token
insert into refresh_token (digest, sign_in_id, expires_at)
select :digest, s.id, least(s.expires_at, now() + make_interval(secs => :seconds))
from sign_in s where s.id = :sign_in and s.ended_at is null;

-- name: refresh_token
select t.sign_in_id, t.used_at is not null as used, t.expires_at <= now() as expired,
       s.user_id::text, s.client_id, s.scope, s.ended_at is not null as ended, s.authenticated_at
from refresh_token t join sign_in s on s.id = t.sign_in_id
where t.digest = :digest;

-- name: use_refresh_token
-- Of several that come with one token at the same time, one gets the row.
update refresh_token t set used_at = now() from sign_in s
where t.digest = :digest and t.used_at is null and t.expires_at > now()
  and s.id = t.sign_in_id and s.ended_at is null and s.expires_at > now()
returning t.sign_in_id;

-- name: end_sign_in
update sign_in set ended_at = now() where id = :sign_in and ended_at is null;

-- name: add_device
insert into device_grant (digest, user_code, client_id, scope, code_challenge, address, interval_seconds, expires_at)
values (:digest, :user_code, :client, :scope, :challenge, :address, :interval,
        now() + make_interval(secs => :seconds))
on conflict (user_code) do nothing returning user_code;

-- name: device
select digest, user_code, client_id, scope, code_challenge, state, user_id::text, authenticated_at,
       expires_at <= now() as expired
from device_grant where digest = :digest;

-- name: poll_device
-- Too soon after the last poll makes every later one wait five seconds more (RFC 8628 3.5).
update device_grant d set
  polled_at = now(),
  interval_seconds = d.interval_seconds + case when early then 5 else 0 end
from (select digest, coalesce(polled_at + make_interval(secs => interval_seconds * 0.9) > now(), false) as early
      from device_grant where digest = :digest for update) p
where d.digest = p.digest
returning p.early;

-- name: exchange_device
update device_grant set state = 'exchanged'
where digest = :digest and state = 'approved' and expires_at > now() returning user_id::text;

-- name: device_by_code
select user_code, client_id, scope, address, state, created_at, expires_at <= now() as expired
from device_grant where user_code = :user_code;

-- name: decide_device
update device_grant set
  state = case when :approve then 'approved' else 'denied' end,
  user_id = case when :approve then (:user)::uuid end,
  authenticated_at = now()
where user_code = :user_code and state = 'pending' and expires_at > now() returning user_code;

-- name: add_code
insert into authorization_code (digest, client_id, redirect_uri, scope, nonce, code_challenge, user_id,
  authenticated_at, expires_at)
values (:digest, :client, :redirect_uri, :scope, :nonce, :challenge, :user, :authenticated_at,
  now() + make_interval(secs => :seconds));

-- name: code
select digest, client_id, redirect_uri, scope, nonce, code_challenge, user_id::text, authenticated_at,
       expires_at <= now() as expired, used_at is not null as used, sign_in_id
from authorization_code where digest = :digest;

-- name: use_code
update authorization_code set used_at = now() where digest = :digest and used_at is null returning client_id;

-- name: note_code_sign_in
update authorization_code set sign_in_id = :sign_in where digest = :digest;

-- name: open_session
insert into browser_session (digest, user_id, expires_at)
select :digest, :user, now() + make_interval(secs => :seconds)
where not exists (select from user_password where user_id = :user and changed_at > (:since)::timestamptz)
returning user_id;

-- name: session
select b.user_id::text, b.signed_in_at, u.email, u.name, u.email_verified_at is not null as verified
from browser_session b join app_user u on u.id = b.user_id
where b.digest = :digest and b.expires_at > now() and u.disabled_at is null;

-- name: close_session
delete from browser_session where digest = :digest;

-- name: key
select id, secret_sha256, expired, revoked from authenticate_key(:lookup);

-- name: generation
select generation from session_generations();

-- name: identity
select user_id::text from user_identity where issuer = :issuer and subject = :subject;

-- name: add_identity
insert into user_identity (issuer, subject, user_id) values (:issuer, :subject, :user)
on conflict (issuer, subject) do update set issuer = excluded.issuer returning user_id::text;

-- name: add_mail_token
insert into mail_token (digest, kind, user_id, email, expires_at)
values (:digest, :kind, :user, :email, now() + make_interval(secs => :seconds));

-- name: mail_token
select t.user_id::text, u.email
from mail_token t join app_user u on u.id = t.user_id
where t.digest = :digest and t.kind = :kind and t.used_at is null and t.expires_at > now()
  and lower(u.email) = lower(t.email) and u.disabled_at is null;

-- name: use_mail_token
-- Of several that come with one token at the same time, one gets the row.
update mail_token t set used_at = now() from app_user u
where t.digest = :digest and t.kind = :kind and t.used_at is null and t.expires_at > now()
  and u.id = t.user_id and lower(u.email) = lower(t.email) and u.disabled_at is null
returning t.user_id::text;

-- name: void_resets
update mail_token set used_at = now() where user_id = :user and kind = 'reset' and used_at is null;

-- name: add_sign_up
insert into sign_up (digest, email, name, expires_at)
values (:digest, lower(:email), :name, now() + make_interval(secs => :seconds));

-- name: sign_up
-- Not once the address has been confirmed, by whichever of its links, or its account is closed.
select s.email, s.name from sign_up s
where s.digest = :digest and s.expires_at > now()
  and not exists (select from app_user u where u.email = s.email
                  and (u.email_verified_at is not null or u.disabled_at is not null));

-- name: use_sign_up
delete from sign_up where digest = :digest and expires_at > now() returning email;

-- name: add_confirmed
-- An account that somebody made with the address and nobody has confirmed becomes that of who reads
-- its mails.
insert into app_user (email, name, email_verified_at) values (:email, :name, now())
on conflict (email) do update set email_verified_at = now(), name = excluded.name
where app_user.email_verified_at is null and app_user.disabled_at is null
returning id::text;

-- name: verify_address
update app_user set email_verified_at = coalesce(email_verified_at, now()) where id = :user;
