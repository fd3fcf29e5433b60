-- Signed addresses end with whoever they were given to: one indexed look at each use, beside what is asked anyway.

create function still_reads(p_holder text, p_org text, p_projects text[]) returns boolean
language sql stable security definer set search_path = opstac, pg_temp as $$
  select case
    when p_holder = '' then true
    when p_holder like 'key\_%' then exists (
      select from api_key k join organization o using (organization_id)
      where k.id = p_holder and k.organization_id = p_org and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > now()) and o.deleted_at is null)
    when p_holder like 'sh\_%' then exists (
      select from share_link l
      where l.id = p_holder and l.organization_id = p_org and l.revoked_at is null and l.expires_at > now())
    else exists (
      select from app_user u
      join organization_member m on m.user_id = u.id and m.organization_id = p_org
      join organization o on o.organization_id = m.organization_id and o.deleted_at is null
      where u.id = p_holder::uuid and u.disabled_at is null
        and (m.role in ('owner', 'admin')
             or (p_projects is not null and not exists (
               select from unnest(p_projects) as wanted (id)
               where not exists (
                 select from project_member pm
                 where pm.user_id = u.id and pm.project_id = wanted.id and pm.organization_id = p_org)))))
  end
$$;
comment on function still_reads is
  'Whether a key, share link or user may still read in these projects of an organization; null for all of them.';
revoke all on function still_reads from public;
alter function still_reads owner to opstac_system;
grant execute on function still_reads to opstac_app, opstac_tiler;

-- the file of a job's status document has one address, whoever asks
alter table scene_request add column holder text not null default '';
comment on column scene_request.holder is 'Who the address of the result is given to; empty for nobody.';
