"""A GET that is refused for a field says that it is in the query."""

from __future__ import annotations


async def test_a_fault_is_placed_where_the_request_has_it(api):
    owner = await api.organization()
    headers = {"Authorization": f"Bearer {owner.token}"}
    for path in ("/v1/op/items.search_org", "/v1/items/search_org"):
        refused = await api.client.get(path, params={"limit": "x"}, headers=headers)
        assert refused.status_code == 422, refused.text
        assert refused.json()["detail"][0]["loc"] == ["query", "limit"]
        refused = await api.client.get(path, params={"bbox": "1,2"}, headers=headers)
        assert refused.status_code == 422 and refused.json()["detail"][0]["loc"][0] == "query"
    problem = await api.refused(422, "items.search_org", {"limit": "x"}, as_=owner)
    assert problem["detail"][0]["loc"] == ["body", "limit"]
