-- name: given
select name, properties, stac_extensions from opstac.stac_item_given(:organization, :item)
