-- name: formulas
select id, organization_id, name, display_name, formula, description, required_bands, colormap, value_range,
       category, is_template, created_at, updated_at
from band_formula
where (organization_id = :org or (:templates and is_template))
  and (:category::text is null or category = :category)
order by is_template, case when not is_template then created_at end desc, name;

-- name: formula
select id, organization_id, name, display_name, formula, description, required_bands, colormap, value_range,
       category, is_template, created_at, updated_at
from band_formula
where (organization_id = :org or is_template) and id = :id;

-- name: how_many
select count(*) as count from band_formula where organization_id = :org;

-- name: insert_formula
-- No row comes back where the name is taken.
insert into band_formula (id, organization_id, name, display_name, formula, description, required_bands, colormap,
                          value_range, category, created_by)
values (:id, :org, :name, :display_name, :formula, :description, :required_bands, :colormap, :value_range,
        :category, :by)
on conflict do nothing
returning id, organization_id, name, display_name, formula, description, required_bands, colormap, value_range,
          category, is_template, created_at, updated_at;

-- name: update_formula
update band_formula
set name = :name, display_name = :display_name, formula = :formula, description = :description,
    required_bands = :required_bands, colormap = :colormap, value_range = :value_range, category = :category,
    updated_at = now()
where organization_id = :org and id = :id
returning id, organization_id, name, display_name, formula, description, required_bands, colormap, value_range,
          category, is_template, created_at, updated_at;

-- name: delete_formula
delete from band_formula where organization_id = :org and id = :id;
