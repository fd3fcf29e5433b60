-- name: item_versions
select version, snapshot, assets
from opstac.stac_item_versions(:organization, :item, :before, :exact, :limit)
