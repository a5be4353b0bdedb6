"""A key for each image, and the border that carries its nonce."""

import io
from itertools import permutations

import numpy as np
import pytest
from PIL import Image

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, SecretKey, adapt_to_key
from ricsk.attacks import FRAttack, JigsawAttack, LinearAttack, jigsaw_scores
from ricsk.datasets import load_photos, make_street_numbers
from ricsk.encryptors.perceptual._border import draw_border, read_border
from ricsk.exceptions import AttackNotApplicableError, NotAdaptableError
from ricsk.keys import encode_context
from ricsk.metrics import ssim

KEY = SecretKey(bytes(range(32)))
X, _ = make_street_numbers(60, random_state=0)
ENCRYPTORS = [
    EtCEncryptor(KEY, block_size=8, per_image_keys=True),
    EtCEncryptor(KEY, block_size=8, grayscale=True, per_image_keys=True),
    PixelEncryptor(KEY, per_image_keys=True),
    LearnableEncryptor(KEY, per_image_keys=True),
]
each = pytest.mark.parametrize("encryptor", ENCRYPTORS, ids=lambda one: type(one).__name__)


@each
@pytest.mark.parametrize("scale", [1, 255])
def test_images_come_back_one_by_one_and_in_any_order(encryptor, scale):
    images = X if scale == 1 else X / scale
    C = encryptor.fit(images).transform(images)
    assert C.shape[1:] == encryptor.ciphertext_shape_
    assert C.dtype == images.dtype
    np.testing.assert_array_equal(encryptor.inverse_transform(C[::-1]), images[::-1])
    np.testing.assert_array_equal(encryptor.transform(images[7:8]), C[7:8])


@each
def test_no_two_images_share_a_map(encryptor):
    fitted = encryptor.fit(X)
    # Images that differ in one value: with one map their ciphertexts differ in few.
    pair = np.stack([X[0], X[0]])
    pair[1, 3, 3, 0] ^= 1
    C = fitted.transform(pair).astype(int)
    assert (C[0] != C[1]).mean() > 0.3
    again = fitted.transform(np.stack([X[0], X[0]]))
    assert (again[0] == again[1]).all()
    with pytest.raises(AttributeError, match="each image has a map of its own"):
        fitted.pixel_map_  # noqa: B018 (to read it is what is tested)


def test_nonces_and_keys_are_those_of_the_format():
    options = {"image_shape": (32, 32, 3), "shuffle_channels": True}

    def encode(**more):
        return encode_context("pe", 2, **options, per_image_keys=True, **more)

    nonce = KEY.derive("pe/nonce", encode(image=X[0].tobytes()), 8)
    own = SecretKey(KEY.derive("pe/image", encode(nonce=nonce), 32))
    mask = 255 * own.keystream("pe/negate", encode()).integers(2, 3072)
    C = PixelEncryptor(KEY, per_image_keys=True).fit(X).transform(X[:1])
    channels = own.keystream("pe/channels", encode()).integers(6, 1024)
    orders = np.array(list(permutations(range(3))))[channels]
    expected = np.take_along_axis(X[0].reshape(-1, 3), orders, axis=1).ravel() ^ mask
    assert (C[0, :32].ravel() == expected).all()
    white = C[0, 32::2, ::2, 0] == 255
    assert np.packbits(white).tobytes()[:8] == nonce


def test_another_key_gives_other_nonces_and_opens_nothing():
    encryptor = ENCRYPTORS[0].fit(X)
    C = encryptor.transform(X)
    other = encryptor.with_key(SecretKey(bytes(32)))
    rows = encryptor.scheme_.map_shape[0]
    assert (read_border(other.transform(X)[:, rows:]) != read_border(C[:, rows:])).any(axis=1).all()
    assert ssim(X, other.inverse_transform(C)).mean() < 0.3


def test_lists_of_several_sizes():
    encryptor = ENCRYPTORS[0].fit(X)
    images = [X[0], X[1][:24], X[2][:, :16]]
    C = encryptor.transform(images)
    assert [c.shape[:2] for c in C] == [(40, 32), (32, 32), (48, 16)]
    back = encryptor.inverse_transform(C)
    assert all((one == image).all() for one, image in zip(back, images, strict=True))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [30, 85])
def test_jpeg_leaves_the_nonces(quality, subsampling):
    photos = load_photos(size=(128, 192))
    encryptor = EtCEncryptor(KEY, per_image_keys=True).fit(photos)
    coded = []
    for ciphertext in encryptor.transform(photos):
        file = io.BytesIO()
        Image.fromarray(ciphertext).save(file, "JPEG", quality=quality, subsampling=subsampling)
        coded.append(np.asarray(Image.open(file)))
    back = encryptor.inverse_transform(np.stack(coded)).astype(int)
    assert np.abs(back - photos).mean() < 10


def test_borders_of_any_width_hold_64_bits():
    nonces = np.random.default_rng(0).integers(0, 256, (20, 8), dtype=np.uint8)
    for width in range(2, 150):
        rows = 2 * -(-64 // (width // 2))
        assert (read_border(draw_border(nonces, (rows, width, 1))) == nonces).all()


def test_images_that_are_too_narrow_are_refused():
    with pytest.raises(ValueError, match=r"rows of images have 1 feature"):
        PixelEncryptor(KEY, per_image_keys=True).fit(X[:, :, :1])


def test_a_network_cannot_be_adapted():
    encryptor = EtCEncryptor(KEY, block_size=8, per_block_keys=False, per_image_keys=True).fit(X)
    with pytest.raises(NotAdaptableError, match="no key that all images share"):
        adapt_to_key(object(), encryptor)


def test_pairs_give_one_image_and_not_the_others():
    one = EtCEncryptor(KEY, block_size=8).fit(X)
    C = one.transform(X)
    found = LinearAttack().fit(C[:40], plaintexts=X[:40], encryptor=one).reconstruct(C[40:])
    assert ssim(X[40:], found).mean() > 0.9
    each = ENCRYPTORS[0].fit(X)
    C = each.transform(X)
    found = LinearAttack().fit(C[:40], plaintexts=X[:40], encryptor=each).reconstruct(C[40:])
    assert ssim(X[40:], found).mean() < 0.3
    with pytest.raises(AttackNotApplicableError, match="each image in another way"):
        FRAttack("chosen").fit(C, encryptor=each)


def test_the_jigsaw_has_one_image_at_a_time():
    encryptor = EtCEncryptor(KEY, per_image_keys=True).fit(X)
    C = encryptor.transform(X[:20])
    alone = JigsawAttack().fit(C, encryptor=encryptor).reconstruct(C)
    shared = EtCEncryptor(KEY).fit(X)
    D = shared.transform(X[:20])
    together = JigsawAttack().fit(D, encryptor=shared).reconstruct(D)
    scores = [jigsaw_scores(X[:20], found, 16).neighbour for found in (alone, together)]
    assert scores[1] == 1
    assert scores[0] < 0.8

    photo = load_photos(size=(64, 96))[:1]
    encryptor.fit(photo)
    C = encryptor.transform(photo)
    found = JigsawAttack().fit(C, encryptor=encryptor).reconstruct(C)
    assert jigsaw_scores(photo, found, 16).neighbour > 0.8  # one image can be enough
