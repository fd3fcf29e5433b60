-- Who sees a project is said once: sees_project asks member_sees, for the organization that is bound.

create or replace function sees_project(p_user uuid, p_project text) returns boolean
language sql stable security definer set search_path = opstac, pg_temp as $$
  select member_sees(org(), p_user, p_project)
$$;
