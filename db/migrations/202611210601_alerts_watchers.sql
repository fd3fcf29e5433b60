-- A rule watches what whoever set it last may see, and an alert is told to those who see its project. A rule over
-- hidden imagery would measure it for somebody who may not open it.

alter table alert_rule add column watcher uuid references app_user;
update alert_rule set watcher = created_by;
comment on column alert_rule.watcher is
  'Who made or changed it last, and whose projects it watches, as they are when something happens; null for a key, '
  'which sees all projects.';

create function sees_project(p_user uuid, p_project text) returns boolean
language sql stable security definer set search_path = opstac, pg_temp as $$
  select exists (
    select from organization_member o
    where o.organization_id = org() and o.user_id = p_user
      and (o.role in ('owner', 'admin') or exists (
        select from project_member m
        where m.organization_id = o.organization_id and m.project_id = p_project and m.user_id = o.user_id)))
$$;
comment on function sees_project is 'Whether a person of the bound organization may see what is in a project of it.';

create function member_addresses(p_users uuid[]) returns table (email text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select a.email from member_addresses() a
  where exists (select from app_user u where u.email = a.email and u.id = any (p_users))
$$;

revoke all on function sees_project, member_addresses(uuid[]) from public;
alter function sees_project owner to opstac_system;
alter function member_addresses(uuid[]) owner to opstac_system;
grant execute on function sees_project, member_addresses(uuid[]) to opstac_app;
