"""What a caller sees of the kernel's order of checks."""

from __future__ import annotations


async def test_an_organization_is_made_by_a_person_and_belongs_to_them(api):
    owner = await api.organization("Harbour Works")
    mine = (await api.ok("organizations.get", as_=owner))["organization"]
    assert mine["id"] == owner.organization_id
    assert mine["name"] == "Harbour Works"
    people = await api.ok("organizations.members.list", as_=owner)
    assert [(p["user_id"], p["role"]) for p in people["members"]] == [(owner.user_id, "owner")]


async def test_a_second_organization_is_refused(api):
    owner = await api.organization()
    await api.refused(409, "organizations.create", {"name": "Again"}, as_=owner)


async def test_nobody_is_told_what_is_missing_before_who_they_are(api):
    await api.refused(401, "organizations.get")
    await api.refused(404, "nope.nope")
    problem = await api.refused(403, "organizations.get", as_=api.user())
    assert problem["detail"] == "User not in an organization"


async def test_a_body_of_the_wrong_shape_says_where(api):
    problem = await api.refused(422, "organizations.create", {"name": ""}, as_=api.user())
    assert problem["detail"][0]["loc"] == ["body", "name"]


async def test_reads_answer_on_get_and_on_resource_paths(api):
    owner = await api.organization()
    headers = {"X-API-Key": owner.token}
    for method, path in [
        ("GET", "/v1/op/organizations.get"),
        ("GET", "/v1/organizations/get"),
        ("POST", "/v1/organizations/get"),
        ("GET", "/v1/organizations/members"),
    ]:
        response = await api.client.request(method, path, headers=headers)
        assert response.status_code == 200, (method, path, response.text)
    response = await api.client.get("/v1/op/organizations.create", headers=headers)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_the_type_of_a_problem_can_be_followed(api):
    problem = await api.refused(401, "organizations.get")
    page = await api.client.get(problem["type"])
    assert page.status_code == 200 and page.json()["status"] == 401 and page.json()["detail"]
    assert (await api.client.get("/problems/none-such")).status_code == 404


async def test_null_and_empty_bodies_are_an_empty_object(api):
    owner = await api.organization()
    headers = {"Authorization": f"Bearer {owner.token}", "Content-Type": "application/json"}
    for content in (b"", b"null", b"{}"):
        response = await api.client.post(
            "/v1/op/organizations.get", content=content, headers=headers
        )
        assert response.status_code == 200, response.text
    for content in (b"[]", b"{", b'"x"', b'{"a":NaN}', b'{"a":"\xff"}'):
        response = await api.client.post(
            "/v1/op/organizations.get", content=content, headers=headers
        )
        assert response.status_code in (400, 422), response.text
