"""The tile server's routes, one file a family; each has `routes(service) -> list[Route]`.

`service` is what all of them share: who may see what, where it is drawn, how an answer is cached.
`query` reads and checks parameters, `answers` makes refusals. `tiler.app` joins the families.
"""
