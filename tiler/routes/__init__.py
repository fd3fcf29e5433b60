"""The tile server's routes, one file a family; each has `routes(service) -> list[Route]`.

`service` is what all of them share: who may see what, where it is drawn, how an answer is cached.
`parameters` is all that a query may hold, `query` reads one, `answers` makes refusals,
`endpoint` is a route that describes itself. `tiler.app` joins the families.
"""
