-- Saved pictures are found by item and by name; formulas of an organization stand beside the templates
-- that everybody has.

-- the tiler reads an item's profiles with every tile, and `profile=` takes a name
create unique index visualization_profile_name on visualization_profile (item_id, name);

create table band_formula (
  id text primary key,
  organization_id text not null,
  name text not null,
  display_name text,
  formula text not null,
  description text,
  required_bands text[] not null,
  colormap text not null,
  value_range float8[] not null,
  category text not null,
  is_template boolean not null default false,
  created_by uuid references app_user,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check (is_template = (organization_id = 'platform'))
);
create unique index band_formula_name on band_formula (organization_id, lower(name));
call protect('band_formula');
-- everybody reads the templates; nobody's tenant policy lets one be changed
create policy templates on band_formula for select to opstac_app using (is_template);
grant select, insert, update, delete on band_formula to opstac_app;
comment on table band_formula is 'Band math that an organization has named, and the templates, which are the platform''s.';

insert into band_formula (id, organization_id, name, display_name, formula, required_bands, colormap, value_range,
                          category, description, is_template)
select 'bf_template_' || lower(t.name), 'platform', t.name, t.display_name, t.formula,
       string_to_array(t.bands, ' '), t.colormap, t.value_range, t.category, t.source, true
from (values
  ('NDVI', 'Normalized Difference Vegetation Index', '(nir - red) / (nir + red)',
   'nir red', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Rouse et al., NASA SP-351 (1974)'),
  ('GNDVI', 'Green Normalized Difference Vegetation Index', '(nir - green) / (nir + green)',
   'nir green', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Gitelson et al., Remote Sensing of Environment 58 (1996)'),
  ('EVI', 'Enhanced Vegetation Index', '2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)',
   'nir red blue', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Huete et al., Remote Sensing of Environment 83 (2002); wants reflectance from 0 to 1'),
  ('EVI2', 'Two-band Enhanced Vegetation Index', '2.5 * (nir - red) / (nir + 2.4 * red + 1)',
   'nir red', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Jiang et al., Remote Sensing of Environment 112 (2008); wants reflectance from 0 to 1'),
  ('SAVI', 'Soil Adjusted Vegetation Index', '1.5 * (nir - red) / (nir + red + 0.5)',
   'nir red', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Huete, Remote Sensing of Environment 25 (1988); wants reflectance from 0 to 1'),
  ('MSAVI', 'Modified Soil Adjusted Vegetation Index', '0.5 * (2 * nir + 1 - sqrt((2 * nir + 1) ** 2 - 8 * (nir - red)))',
   'nir red', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Qi et al., Remote Sensing of Environment 48 (1994); wants reflectance from 0 to 1'),
  ('NDRE', 'Normalized Difference Red Edge Index', '(nir - rededge71) / (nir + rededge71)',
   'nir rededge71', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Barnes et al., 5th Int. Conf. on Precision Agriculture (2000)'),
  ('NDMI', 'Normalized Difference Moisture Index', '(nir - swir16) / (nir + swir16)',
   'nir swir16', 'rdylbu', '{-1,1}'::float8[], 'water', 'Wilson and Sader, Remote Sensing of Environment 80 (2002)'),
  ('NDWI', 'Normalized Difference Water Index', '(green - nir) / (green + nir)',
   'green nir', 'blues', '{-1,1}'::float8[], 'water', 'McFeeters, Int. Journal of Remote Sensing 17 (1996)'),
  ('MNDWI', 'Modified Normalized Difference Water Index', '(green - swir16) / (green + swir16)',
   'green swir16', 'blues', '{-1,1}'::float8[], 'water', 'Xu, Int. Journal of Remote Sensing 27 (2006)'),
  ('NBR', 'Normalized Burn Ratio', '(nir - swir22) / (nir + swir22)',
   'nir swir22', 'rdylgn', '{-1,1}'::float8[], 'burn', 'Key and Benson, USDA RMRS-GTR-164 (2006)'),
  ('NDBI', 'Normalized Difference Built-up Index', '(swir16 - nir) / (swir16 + nir)',
   'swir16 nir', 'ylorrd', '{-1,1}'::float8[], 'urban', 'Zha et al., Int. Journal of Remote Sensing 24 (2003)'),
  ('BSI', 'Bare Soil Index', '((swir16 + red) - (nir + blue)) / ((swir16 + red) + (nir + blue))',
   'swir16 red nir blue', 'ylorbr', '{-1,1}'::float8[], 'soil', 'Rikimaru et al., Tropical Ecology 43 (2002)'),
  ('NDSI', 'Normalized Difference Snow Index', '(green - swir16) / (green + swir16)',
   'green swir16', 'blues', '{-1,1}'::float8[], 'snow', 'Hall et al., Remote Sensing of Environment 54 (1995)'),
  ('VARI', 'Visible Atmospherically Resistant Index', '(green - red) / (green + red - blue)',
   'green red blue', 'rdylgn', '{-1,1}'::float8[], 'vegetation', 'Gitelson et al., Remote Sensing of Environment 80 (2002)')
) as t (name, display_name, formula, bands, colormap, value_range, category, source);
