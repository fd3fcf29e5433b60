-- At a million items: counting those of a project or a collection reads an index and no rows, and whether a
-- project has items in no collection is one look into it. The planner went through all of an
-- organization's items for the latter where it was asked by an expression.

create index item_counts on item (organization_id, project_id, collection_id) where deleted_at is null;

create or replace function stac_collections(
  p_org text, p_projects text[], p_names text[], p_limit integer, p_offset integer
)
returns table (
  id text, slug text, project_id text, title text, description text, stac jsonb,
  created_at timestamptz, updated_at timestamptz
)
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return query
    select * from (
      select c.id, c.slug, c.project_id, c.name, c.description, c.stac, c.created_at, c.updated_at
      from opstac.collection c join opstac.project p on p.id = c.project_id
      where c.deleted_at is null and p.deleted_at is null
        and (p_projects is null or c.project_id = any (p_projects))
        and (p_names is null or c.id in (select named.id from opstac.stac_names(p_org, p_projects, p_names) named))
      union all
      -- items in no collection are shown in one that is named after their project
      select p.id, p.id, p.id, p.name, p.description, '{}'::jsonb, p.created_at, p.updated_at
      from opstac.project p
      where p.deleted_at is null and (p_projects is null or p.id = any (p_projects))
        and (p.id = any (p_names) or p_names is null and exists (
          select from opstac.item i
          where i.project_id = p.id and i.collection_id is null and i.deleted_at is null))
    ) shown
    order by shown.created_at, shown.id
    limit p_limit offset p_offset;
end $$;

create or replace function stac_collection_count(p_org text, p_projects text[]) returns bigint
language plpgsql volatile set search_path = opstac, public as $$
begin
  perform set_config('opstac.org', coalesce(nullif(p_org, ''), '-'), true);
  return (
    select count(*) from opstac.collection c join opstac.project p on p.id = c.project_id
    where c.deleted_at is null and p.deleted_at is null and (p_projects is null or c.project_id = any (p_projects))
  ) + (
    select count(*) from opstac.project p
    where p.deleted_at is null and (p_projects is null or p.id = any (p_projects))
      and exists (select from opstac.item i where i.project_id = p.id and i.collection_id is null and i.deleted_at is null)
  );
end $$;
