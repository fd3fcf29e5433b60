"""OGC's XML schemas, for tests of documents that are to be valid by them, with no network."""

from __future__ import annotations

import tarfile
from pathlib import Path

from lxml import etree

PACKED = Path(__file__).parent / "data" / "ogc-schemas" / "schemas.tar.xz"
PLACES = {
    "http://schemas.opengis.net/": "",
    "http://www.w3.org/1999/": "w3c/1999/",
    "http://www.w3.org/2001/": "w3c/2001/",
}
DOCUMENTS = {
    "Capabilities": "wmts/1.0/wmtsGetCapabilities_response.xsd",
    "ExceptionReport": "ows/1.1.0/owsExceptionReport.xsd",
}


class _Local(etree.Resolver):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def resolve(self, system_url, public_id, context):
        for prefix, place in PLACES.items():
            if system_url and system_url.startswith(prefix):
                path = self._folder / place / system_url.removeprefix(prefix)
                return self.resolve_filename(str(path), context)
        return None


class Schemas:
    """What says which of a document's lines its schema does not allow."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(PACKED) as packed:
            packed.extractall(folder, filter="data")
        parser = etree.XMLParser(no_network=True)
        parser.resolvers.add(_Local(folder))
        self._schemas = {
            name: etree.XMLSchema(etree.parse(str(folder / path), parser))
            for name, path in DOCUMENTS.items()
        }

    def problems(self, body: bytes) -> list[str]:
        """Why a service document or an exception report is not valid; empty where it is."""
        document = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        schema = self._schemas[etree.QName(document).localname]
        schema.validate(document)
        return [f"{entry.line}: {entry.message}" for entry in schema.error_log]
