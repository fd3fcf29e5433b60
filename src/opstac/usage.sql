-- name: count_tiles
select opstac.count_usage(counted.organization, 'tile_requests', counted.tiles)
from unnest(cast(:orgs as text[]), cast(:tiles as bigint[])) with ordinality
       as counted (organization, tiles, place)
order by counted.place;
