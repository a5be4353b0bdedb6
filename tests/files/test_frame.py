"""Tables of images: what is in a cell, what comes back, and who may carry the table."""

import io
import re
from functools import partial
from pathlib import Path

import dask
import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ricsk import (
    EtCEncryptor,
    PixelEncryptor,
    PrivateKey,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
)
from ricsk.codecs import read_image
from ricsk.exceptions import NotSealedError, WrongKeyError
from ricsk.files import decrypt_frame, encrypt_frame, open_photograph, read_photograph
from tests.keys.leaks import forms

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encode(format, mode="RGB"):
    content = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(content, format)
    return content.getvalue()


@pytest.fixture
def df(tmp_path):
    """A table with an image of each kind, and rows that have none."""
    path = tmp_path / "a photograph.jpg"
    path.write_bytes(encode("JPEG"))
    hugging_face = {"bytes": encode("WEBP"), "path": "somewhere/b.webp"}
    cells = [path, str(path), encode("PNG"), bytearray(encode("TIFF")), hugging_face]
    index = pd.Index([7, 3, 3, "x", None, 2.5, 0, -1], name="odd", dtype=object)
    frame = pd.DataFrame({"y": range(8), 5: [*cells, None, np.nan, pd.NA]}, index=index)
    frame.attrs["of"] = "somebody"
    return frame


def read_cell(cell):
    if isinstance(cell, dict):
        return cell["bytes"]
    return bytes(cell) if isinstance(cell, bytes | bytearray) else Path(cell).read_bytes()


def same_files(back, df):
    return [read_cell(cell) for cell in df[5][:5]] == back[5][:5].tolist()


def test_every_file_comes_back_and_the_rest_is_as_it_was(df):
    before = df.copy()
    encrypted = encrypt_frame(df, 5, key=KEY)
    pd.testing.assert_frame_equal(df, before)
    assert encrypted[5].map(type).tolist() == [bytes] * 5 + [type(None)] * 3
    assert not {*encrypted[5][:5]} & {read_cell(cell) for cell in df[5][:5]}
    back = decrypt_frame(encrypted, 5, key=KEY)
    assert same_files(back, df)
    assert back[5][5:].isna().all()
    for frame in (encrypted, back):
        pd.testing.assert_frame_equal(frame[["y"]], df[["y"]])
        assert frame.columns.tolist() == ["y", 5]
        assert frame.attrs == df.attrs


def test_names_are_in_the_envelope(df):
    encrypted = encrypt_frame(df, 5, key=KEY)
    names = [open_photograph(io.BytesIO(cell), KEY).name for cell in encrypted[5][:5]]
    assert names == ["a photograph.jpg"] * 2 + [None] * 2 + ["b.webp"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pillow_images_come_back_with_every_pixel(mode):
    values = RNG.integers(0, 2**16, (5, 6)).astype(np.uint16)
    image = {
        "I;16": Image.fromarray(values),
        "F": Image.fromarray(values.astype(np.float32) / 7),
    }.get(mode) or Image.fromarray(PIXELS).convert(mode)
    df = pd.DataFrame({"image": [image]})
    back = decrypt_frame(encrypt_frame(df, "image", key=KEY), "image", key=KEY)
    opened = Image.open(io.BytesIO(back["image"][0]))
    assert opened.mode == mode
    np.testing.assert_array_equal(opened, image)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_pillow_image_that_is_to_be_turned_stays_so(mode):
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # the orientation
    Image.fromarray(PIXELS).convert(mode).save(content, "JPEG", exif=exif)
    df = pd.DataFrame({"image": [Image.open(content)]})
    back = decrypt_frame(encrypt_frame(df, "image", key=KEY), "image", key=KEY)["image"][0]
    assert read_image(back).shape == (30, 20, 3)


def test_an_encryptor_that_opens_nothing_or_is_not_fitted_is_refused(df):
    with pytest.raises(NotFittedError):
        encrypt_frame(df, 5, RICEncryptor(KEY))
    with pytest.raises(NotFittedError):
        decrypt_frame(df, 5, EtCEncryptor(KEY))
    classifier = FrozenEstimator(LogisticRegression().fit([[0.0] * 1024, [1.0] * 1024], [0, 1]))
    public = PrivateKey.generate().public_key
    encryptor = SealedEncryptor(None, classifier, kappa=0, recipients=[public])
    encryptor.fit(np.full((2, 1024), 0.5))
    with pytest.raises(ValueError, match="seals for recipients, and opens nothing"):
        decrypt_frame(df, 5, encryptor)


def test_for_recipients(df):
    private = PrivateKey.generate()
    encrypted = encrypt_frame(df, 5, recipients=[private.public_key])
    assert same_files(decrypt_frame(encrypted, 5, key=private), df)
    with pytest.raises(NotSealedError, match=r"^row 7 of 5 was not decrypted: "):
        decrypt_frame(encrypted, 5, key=PrivateKey.generate())


def test_the_classifier_of_a_sealed_encryptor_reads_the_cells(df):
    X = RNG.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    X[:20] //= 4
    flat, y = X.reshape(40, -1), np.repeat([0, 1], 20)
    classifier = FrozenEstimator(LogisticRegression(max_iter=50, tol=1).fit(flat, y))
    options = {"image_shape": (32, 32, 3), "kappa": 0, "bit_planes": 7}
    encryptor = SealedEncryptor(KEY, classifier, **options).fit(flat)
    encrypted = encrypt_frame(df, 5, encryptor)
    C = np.stack([read_image(cell) for cell in encrypted[5][:5]]).reshape(5, -1)
    plain = [read_photograph(read_cell(cell), encryptor)[0] for cell in df[5][:5]]
    np.testing.assert_array_equal(classifier.predict(C), classifier.predict(plain))
    assert same_files(decrypt_frame(encrypted, 5, encryptor), df)


def test_other_schemes_encrypt_what_the_classifier_is_given(df):
    X = RNG.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    encryptor = EtCEncryptor(KEY, block_size=4).fit(X)
    encrypted = encrypt_frame(df, 5, encryptor)
    back = decrypt_frame(encrypted, 5, encryptor)
    for cell, found in zip(df[5][:5], back[5][:5], strict=True):
        plain = read_photograph(read_cell(cell), encryptor)[0]
        np.testing.assert_array_equal(read_image(found), plain)
    with pytest.raises(WrongKeyError, match=r"^row 7 of 5 was not decrypted: "):
        decrypt_frame(encrypted, 5, encryptor.with_key(OTHER))


def test_pictures_in_their_own_size_come_back_by_the_key_alone(tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    pictures = [Image.fromarray(image[: 10 + i]) for i, image in enumerate(X)]
    df = pd.DataFrame({"picture": [*pictures, None]})
    encrypted = encrypt_frame(df, "picture", PixelEncryptor(KEY))
    back = decrypt_frame(encrypted, "picture", key=KEY)["picture"]
    for picture, content in zip(pictures, back, strict=False):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)
    assert back[3] is None


def test_several_at_a_time_stay_in_order(df):
    many = pd.concat([df.reset_index(drop=True)] * 5, ignore_index=True)
    with joblib.parallel_config(backend="threading"):
        encrypted = encrypt_frame(many, 5, key=KEY, n_jobs=2)
        back = decrypt_frame(encrypted, 5, key=KEY, n_jobs=2)
    pd.testing.assert_frame_equal(back, decrypt_frame(encrypted, 5, key=KEY))


def test_a_bad_cell_is_named_or_becomes_a_missing_one(df):
    df.iloc[3, 1] = df.iloc[1, 1] + "/nowhere"
    df.iat[4, 1] = 17
    with pytest.raises(ValueError, match=r"^row 'x' of 5 was not encrypted: .*nowhere"):
        encrypt_frame(df, 5, key=KEY)
    with pytest.warns(UserWarning, match=r"^2 rows were not encrypted .* now: 'x', None\.$") as log:
        encrypted = encrypt_frame(df, 5, key=KEY, errors="coerce")
    assert log[0].filename == __file__
    assert encrypted[5].isna().tolist() == [False] * 3 + [True] * 5
    encrypted.iat[0, 1] = b"no picture"
    with pytest.raises(NotSealedError, match=r"^row 7 of 5 was not decrypted: "):
        decrypt_frame(encrypted, 5, key=KEY)
    with pytest.raises(WrongKeyError, match=r"^row 3 of 5 was not decrypted: .*with the key "):
        decrypt_frame(encrypted.iloc[1:], 5, key=OTHER)
    many = pd.DataFrame({"image": [b"?"] * 13})
    with pytest.warns(UserWarning, match=r"13 rows .*: 0, 1, 2, .*, 9 and 3 more\.$"):
        decrypt_frame(many, "image", key=KEY, errors="coerce")


def test_where_the_file_was_taken_out_a_thumbnail_is_left(df):
    encrypted = encrypt_frame(df, 5, key=KEY)
    stripped = io.BytesIO()
    Image.fromarray(read_image(encrypted.iat[1, 1])).save(stripped, "PNG")
    encrypted.iat[1, 1] = stripped.getvalue()
    with pytest.warns(UserWarning, match=r"^1 rows hold no original any more.*thumbnail: 3\.$"):
        back = decrypt_frame(encrypted, 5, key=KEY)
    thumbnail = open_photograph(io.BytesIO(stripped.getvalue()), KEY).thumbnail
    np.testing.assert_array_equal(read_image(back.iat[1, 1]), thumbnail)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"column": "z"}, "KeyError: .*df has not one column 'z'; it has 'y', 5"),
        ({"df": [1]}, "TypeError: df=.* is not a pandas DataFrame"),
        ({"key": None}, "ValueError: give an encryptor, key=... or"),
        ({"errors": "ignore"}, "ValueError: errors='ignore'; expected 'raise' or 'coerce'"),
        ({"recipients": [PrivateKey.generate().public_key]}, "ValueError: give an encryptor"),
    ],
)
def test_arguments_that_are_none(df, change, error):
    options = {"df": df, "column": 5, "key": KEY, **change}
    with pytest.raises((KeyError, TypeError, ValueError)) as caught:
        encrypt_frame(**options)
    assert re.match(error, f"{caught.type.__name__}: {caught.value}")


def test_through_parquet(df, tmp_path):
    path = tmp_path / "table.parquet"
    df.index = df.index.map(str)
    encrypted = encrypt_frame(df.rename(columns={5: "image"}), "image", key=KEY)
    encrypted.to_parquet(path)
    raw, content = bytes(range(32)), path.read_bytes()
    assert raw not in content
    assert not any(form.encode() in content for form in forms(raw))
    back = decrypt_frame(pd.read_parquet(path), "image", key=KEY)
    assert same_files(back.rename(columns={"image": 5}), df)


# Dask 2026.8 sets and resets indices in place, which pandas 3.1 is going to drop.
@pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")
def test_dask_maps_over_its_partitions(df, tmp_path):
    frame = df.reset_index(drop=True).rename(columns={5: "image"})
    with dask.config.set({"dataframe.convert-string": False, "scheduler": "synchronous"}):
        table = dd.from_pandas(frame, npartitions=3)
        encrypted = table.map_partitions(encrypt_frame, "image", key=KEY, meta=table._meta)
        binary = {"image": pd.ArrowDtype(pa.binary())}
        encrypted.astype(binary).to_parquet(tmp_path / "table", write_index=False)
        read = dd.read_parquet(tmp_path / "table")
        assert read.npartitions == 3
        back = read.map_partitions(decrypt_frame, "image", key=KEY, meta=table._meta).compute()
    assert same_files(back.rename(columns={"image": 5}), df)


def test_batches_of_datasets_are_frames_or_become_some(df):
    """With `with_format("pandas")` datasets gives and takes frames; without, dicts of lists."""
    batch = {"image": df[5][:5].tolist(), "y": [0, 1, 2, 3, 4]}
    encrypt = partial(encrypt_frame, column="image", key=KEY)
    encrypted = encrypt(pd.DataFrame(batch)).to_dict("list")
    back = decrypt_frame(pd.DataFrame(encrypted), "image", key=KEY).to_dict("list")
    assert back == {**batch, "image": [read_cell(cell) for cell in batch["image"]]}
