-- What a client links from an item is kept; what an item said before can be read.

alter table item add column links jsonb not null default '[]';
comment on column item.links is 'STAC links a client gave, beside those that the platform makes.';

-- documents of items that were changed now say which version they are: the chore writes them anew
set local role opstac_system;
update opstac.item set document_format = 0 where version > 1 and deleted_at is null;
set local role opstac_owner;

grant select on item_version, asset to opstac_stac;

create function stac_item_versions(p_org text, p_item text, p_before integer, p_exact boolean, p_limit integer)
returns table (version integer, snapshot jsonb, assets jsonb)
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query
    select v.version, v.snapshot,
           (select coalesce(jsonb_agg(to_jsonb(a) - '{organization_id,object_path}'::text[] order by a.created_at, a.id), '[]')
            from opstac.asset a
            where a.item_id = v.item_id and a.created_at < v.replaced_at
              -- of a file of ours that was deleted there is nothing left to fetch
              and (a.deleted_at is null or a.object_path is null and a.deleted_at >= v.replaced_at))
    from opstac.item_version v
    where v.item_id = p_item and v.version < p_before and (not p_exact or v.version = p_before - 1)
    order by v.version desc
    limit p_limit;
end $$;
comment on function stac_item_versions is
  'What an item of the organization p_org said before version p_before, newest first, or that one alone; the '
  'caller checks who may see it.';
revoke all on function stac_item_versions from public;
grant execute on function stac_item_versions to opstac_stac;

create function stac_item_given(p_org text, p_item text)
returns table (name text, properties jsonb, stac_extensions text[])
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query
    select i.name, i.properties, i.stac_extensions
    from opstac.item i where i.id = p_item and i.deleted_at is null;
end $$;
comment on function stac_item_given is 'What the owner of an item said of it; the caller checks who may see it.';
revoke all on function stac_item_given from public;
grant execute on function stac_item_given to opstac_stac;
