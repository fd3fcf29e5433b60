-- name: count
select opstac.count_usage(counted.organization, counted.metric, counted.value)
from unnest(cast(:orgs as text[]), cast(:metrics as text[]), cast(:values as bigint[])) with ordinality
       as counted (organization, metric, value, place)
order by counted.place;
