import re

import pytest

from tiler import tokens


@pytest.fixture(scope="module")
def key() -> bytes:
    return tokens.new_signing_key()


def test_a_token_opens_its_item_until_it_expires(key):
    token = tokens.sign_tile_token(key, "it_1", organization_id="org_a", expires_at=2000)
    grant = tokens.verify_tile_token(tokens.public_key(key), token, item_id="it_1", now=1999)
    assert grant == tokens.TileGrant("it_1", "org_a", 2000)
    with pytest.raises(tokens.TokenError, match="expired"):
        tokens.verify_tile_token(tokens.public_key(key), token, item_id="it_1", now=2000)


def test_a_token_does_not_open_another_item(key):
    token = tokens.sign_tile_token(key, "it_1")
    with pytest.raises(tokens.TokenError, match="another item"):
        tokens.verify_tile_token(tokens.public_key(key), token, item_id="it_2")


def test_a_token_survives_a_url_unchanged(key):
    token = tokens.sign_tile_token(key, "it_01JC0000000000000000000000", organization_id="org_a")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert len(token) < 200


def test_every_altered_character_is_noticed(key):
    token = tokens.sign_tile_token(key, "it_1")
    for place in range(len(tokens.PREFIX), len(token)):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(tokens.TokenError):
            tokens.verify_tile_token(
                tokens.public_key(key), token[:place] + other + token[place + 1 :]
            )


@pytest.mark.parametrize(
    "text", ["", "tt_", "tt_AAAA", "gpra_x", "tt_" + "A" * 600, "tt_é", "tt_=="]
)
def test_what_is_no_token_is_refused(key, text):
    with pytest.raises(tokens.TokenError):
        tokens.verify_tile_token(tokens.public_key(key), text)


def test_another_signing_key_is_refused(key):
    token = tokens.sign_tile_token(tokens.new_signing_key(), "it_1")
    with pytest.raises(tokens.TokenError, match="signature"):
        tokens.verify_tile_token(tokens.public_key(key), token)
