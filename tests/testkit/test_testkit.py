"""The package's reader makes of every case of the kit what is written beside it."""

import io
import json
from itertools import chain

import pytest

from ricsk import PrivateKey, SecretKey, unseal
from ricsk.codecs import read_image
from ricsk.encryptors import find_signers
from ricsk.exceptions import NewerFormatError, NotSealedError, WrongKeyError
from ricsk.files import open_photograph
from ricsk.keys import VerifyingKey
from tests.testkit.images import make_images
from tests.testkit.kit import (
    FOLDER,
    INDEX,
    NEWER,
    OPENS,
    REFUSED,
    WRONG_KEY,
    describe_image,
    digest,
)
from tests.testkit.photographs import make_photographs
from tests.testkit.recipient_photographs import make_photographs_for_recipients
from tests.testkit.recipients import make_recipients

CASES = json.loads(INDEX.read_text()) if INDEX.exists() else []
OUTCOMES = {NotSealedError: REFUSED, NewerFormatError: NEWER, WrongKeyError: WRONG_KEY}


def make_cases():
    return chain(
        make_images(), make_recipients(), make_photographs(), make_photographs_for_recipients()
    )


def read_case(case):
    """Read a case with the package, and describe what came out."""
    private = case["key"].startswith("RICSK-PRIVATE-")
    key = (PrivateKey if private else SecretKey).from_text(case["key"])
    signers = case.get("signers") and [VerifyingKey.from_text(text) for text in case["signers"]]
    data = (FOLDER / case["file"]).read_bytes()
    try:
        found = read_as[case["kind"]](data, key, signers)
    except tuple(OUTCOMES) as error:
        return {"expect": OUTCOMES[type(error)]}
    return {"expect": OPENS, **found}


def read_sealed_image(data, key, signers):
    try:
        C = read_image(data)[None]
        (image,) = unseal(C, key, signers=signers)
    except ValueError as error:
        # Pixels of a form that no sealed image has are refused before they are looked at.
        raise error if type(error) in OUTCOMES else NotSealedError(str(error)) from None
    if isinstance(key, SecretKey):
        return describe_image(image)
    (signer,) = find_signers(C, key)
    return {**describe_image(image), "signer": signer and signer.text}


def read_photograph(data, key, signers):
    opened = open_photograph(io.BytesIO(data), key, signers=signers)
    found = {"found": opened.found, "thumbnail": describe_image(opened.thumbnail)}
    if isinstance(key, PrivateKey):
        found["signer"] = opened.signer and opened.signer.text
    if opened.found == "original":
        found["original"] = {
            "name": opened.name,
            "length": len(opened.data),
            "sha256": digest(opened.data),
        }
    return found


read_as = {"image": read_sealed_image, "photograph": read_photograph}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case):
    fields = {"expect", "shape", "sha256", "found", "thumbnail", "original", "signer"}
    expected = {name: value for name, value in case.items() if name in fields}
    assert read_case(case) == expected


def test_the_script_makes_these_files():
    made = {case.name: case for case in make_cases()}
    assert [case.describe() for case in made.values()] == CASES
    kept = {path.name for path in FOLDER.iterdir()} - {INDEX.name}
    assert kept == {f"{name}.png" for name in made}
    for name, case in made.items():
        assert (FOLDER / f"{name}.png").read_bytes() == case.data


def test_the_kit_is_small_and_has_all_outcomes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
    assert {case["expect"] for case in CASES} == {OPENS, REFUSED, NEWER, WRONG_KEY}
