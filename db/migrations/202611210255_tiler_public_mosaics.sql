-- Mosaics of public collections for callers without a credential: what is public is what public_collections says,
-- asked anew for each request.

create function public_mosaic_target(p_id text)
returns table (name text, project_id text, collection_id text, search jsonb, organization_id text)
language sql stable security definer set search_path = opstac, pg_temp as $$
  select c.title, c.project_id, c.id, null::jsonb, c.organization_id
  from public_collections() c
  where c.id = p_id or c.slug = p_id
  order by c.id <> p_id
  limit 1
$$;
comment on function public_mosaic_target is
  'The public collection (by id, or by the name that the catalogue shows it by) that anybody may see as a mosaic.';
revoke all on function public_mosaic_target from public;
alter function public_mosaic_target owner to opstac_system;
grant execute on function public_mosaic_target to opstac_tiler;
