-- What collections that a mosaic's filter names are: the tiler reads no table, so stac_names runs as
-- the role of searches.

create function mosaic_names(p_org text, p_projects text[], p_names text[])
returns table (name text, id text)
language plpgsql volatile security definer set search_path = opstac, public, pg_temp as $$
begin
  return query select n.name, n.id from opstac.stac_names(p_org, p_projects, p_names) n;
end $$;
comment on function mosaic_names is 'stac_names for the tiler, which reads no table itself.';
revoke all on function mosaic_names from public;
grant create on schema opstac to opstac_stac;
alter function mosaic_names owner to opstac_stac;
revoke create on schema opstac from opstac_stac;
set local role opstac_stac;
grant execute on function mosaic_names to opstac_tiler, opstac_app;
set local role opstac_owner;
revoke execute on function stac_names from opstac_tiler;
