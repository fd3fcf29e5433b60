-- What somebody set up in an organization holds while they may still have it: an invitation, a
-- subscription, a share link. Their own rights are asked for each time; nothing is kept of then.

create function member_sees(p_organization text, p_user uuid, p_project text) returns boolean
language sql stable as $$
  select exists (
    select from opstac.organization_member m
    where m.organization_id = p_organization and m.user_id = p_user
      and (m.role in ('owner', 'admin')
           or exists (select from opstac.project_member pm
                      where pm.organization_id = p_organization and pm.project_id = p_project
                        and pm.user_id = p_user)))
$$;
comment on function member_sees is 'Whether a person is of the organization and may see the project.';

create function may_be_told(p_organization text, p_user uuid, p_everywhere boolean) returns boolean
language sql stable as $$
  select exists (
    select from opstac.organization_member m
    where m.organization_id = p_organization and m.user_id = p_user
      and (m.role in ('owner', 'admin') or m.role = 'member' and not p_everywhere))
$$;
comment on function may_be_told is
  'Whether a person may still have a subscription: of all projects (p_everywhere), or of those they are in.';

create function is_told(p_organization text, p_user uuid, p_everywhere boolean, p_project text) returns boolean
language sql stable as $$
  select p_user is null
    or (opstac.may_be_told(p_organization, p_user, p_everywhere)
        and (p_everywhere or p_project is null
             or exists (select from opstac.project_member pm
                        where pm.organization_id = p_organization and pm.project_id = p_project
                          and pm.user_id = p_user))
        and not exists (select from opstac.app_user u where u.id = p_user and u.disabled_at is not null))
$$;
comment on function is_told is
  'Whether a subscription of that maker is told of what happens in a project, or in none: for role opstac_system.';

create function may_invite(p_organization text, p_user uuid, p_role text) returns boolean
language sql stable as $$
  select exists (
    select from opstac.organization_member m
    where m.organization_id = p_organization and m.user_id = p_user
      and (m.role = 'owner' or m.role = 'admin' and p_role <> 'owner'))
$$;
comment on function may_invite is 'Whether a person may still make somebody a member of that role.';

create or replace function find_invitation(p_token bytea)
returns table (id text, organization_id text, organization text, email text, role text, state text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select i.id, i.organization_id, o.name, i.email, i.role,
         case when i.accepted_at is not null then 'accepted' when i.revoked_at is not null then 'revoked'
              when i.expires_at <= now() or o.deleted_at is not null then 'expired'
              when not may_invite(i.organization_id, i.invited_by, i.role)
                or exists (select from app_user u where u.id = i.invited_by and u.disabled_at is not null)
                then 'revoked'
              else 'pending' end
  from invitation i join organization o using (organization_id)
  where i.token_sha256 = p_token
$$;

create or replace function find_share(p_sha256 bytea, p_most integer, p_seconds integer)
returns table (
  id text, organization_id text, slot text, project_id text, target_type text, target_id text, permission text,
  password_hash text, expires_at timestamptz, locked_seconds integer
)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select l.id, l.organization_id, s.slot, l.project_id, l.target_type, l.target_id, l.permission, l.password_hash,
         l.expires_at,
         (select ceil(extract(epoch from min(t) + make_interval(secs => p_seconds) - clock_timestamp()))::integer
          from unnest(l.tried_at) as t
          where t > clock_timestamp() - make_interval(secs => p_seconds)
          having count(*) >= p_most)
  from share_link l
  join project p on p.organization_id = l.organization_id and p.id = l.project_id and p.deleted_at is null
  join organization o on o.organization_id = l.organization_id and o.deleted_at is null
  left join organization_slot s on s.organization_id = l.organization_id
  where l.token_sha256 = p_sha256 and l.revoked_at is null
    and (l.created_by is null or member_sees(l.organization_id, l.created_by, l.project_id)
         and not exists (select from app_user u where u.id = l.created_by and u.disabled_at is not null))
$$;
