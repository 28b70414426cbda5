"""Signing keys: verified without a secret, replaced after a month, one of several servers adds."""

from base64 import b64decode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from sqlalchemy import Engine

from sorafeed_assets.services.signing import PlannedPick, Signer
from sorafeed_assets_tests.catalogue import run

PICK = PlannedPick("AAAAA1", uuid4(), "post", 2, 7)


def verify(public: str, signature: str, text: str) -> None:
    """Verify a signature as a browser does, from the numbers r and s."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b64decode(public))
    numbers = b64decode(signature)
    assert len(numbers) == 64
    der = utils.encode_dss_signature(
        int.from_bytes(numbers[:32], "big"), int.from_bytes(numbers[32:], "big")
    )
    point.verify(der, text.encode(), ec.ECDSA(hashes.SHA256()))


def _public(signer: Signer) -> Mapping[str, str]:
    return {key["id"]: key["public"] for key in signer.public_keys()}


def test_a_text_is_verified_by_the_public_key_alone(engine: Engine) -> None:
    signer = Signer(engine, life=7)
    signed = signer.sign("Videos für alle")
    public = _public(signer)[signed.key]
    verify(public, signed.signature, signed.text)
    with pytest.raises(InvalidSignature):
        verify(public, signed.signature, "Videos für niemand")


def test_a_receipt_is_of_one_pick_of_one_display(engine: Engine) -> None:
    signer = Signer(engine, life=7)
    (receipt,) = signer.receipts([PICK])
    assert signer.was_planned(PICK, receipt)
    # Another server with the same database knows it.
    assert Signer(engine, life=7).was_planned(PICK, receipt)
    for other in (
        replace(PICK, display_id="AAAAA2"),
        replace(PICK, block_id=uuid4()),
        replace(PICK, video_id="other"),
        replace(PICK, loop=3),
        replace(PICK, position=8),
    ):
        assert not signer.was_planned(other, receipt)
    for wrong in ("", receipt[:-1], "ä" * 22, "\ud800"):
        assert not signer.was_planned(PICK, wrong)


def test_servers_that_start_together_use_one_key(engine: Engine) -> None:
    with ThreadPoolExecutor(6) as threads:
        keys = set(threads.map(lambda _: Signer(engine, life=7).sign("x").key, range(6)))
    assert len(keys) == 1
    assert len(run(engine, "SELECT FROM signing_keys")) == 1


def test_a_key_signs_for_a_month_and_is_known_for_two_plans_more(engine: Engine) -> None:
    now = 0.0
    signer = Signer(engine, life=7, clock=lambda: now)
    (receipt,) = signer.receipts([PICK])
    old = signer.sign("x").key
    run(engine, "UPDATE signing_keys SET created_at = now() - interval '31 days'")
    # Keys are read once a minute.
    now = 59.0
    assert signer.sign("x").key == old
    now = 60.0
    new = signer.sign("x").key
    assert list(_public(signer)) == [new, old]
    assert signer.was_planned(PICK, receipt)
    # The next key takes the place of one that no plan needs any more.
    run(engine, "UPDATE signing_keys SET created_at = created_at - interval '31 days'")
    now = 120.0
    last = signer.sign("x").key
    assert list(_public(signer)) == [last, new]
    assert not signer.was_planned(PICK, receipt)
