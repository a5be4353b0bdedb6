"""States made by hand: refused before anything is made of them, whatever they ask for.

Each is tried as a state, and as the skops file that a stranger may write.
"""

import json
import pickle
import warnings

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from ricsk import (
    CNNClassifier,
    EtCEncryptor,
    JPEGCodec,
    LearnableEncryptor,
    PixelEncryptor,
    PrivateClassifier,
    RICEncryptor,
    SealedEncryptor,
    SecretKey,
    TransformationNetworkEncryptor,
    ViTClassifier,
)
from ricsk.cloud import CloudHalf
from ricsk.encryptors import PublishedRICEncryptor
from ricsk.exceptions import KeyReferenceError, SmallKeySpaceWarning, StateError
from ricsk.images import ValueRange
from ricsk.keys import allow_references
from ricsk.nae import ClassTemplates
from ricsk.pixelmap import PixelMap
from tests.instances import (
    CLASSIFIERS,
    CODECS,
    ENCRYPTORS,
    GUIDED_ENCRYPTORS,
    KEY,
    KEYLESS_ENCRYPTORS,
)

# Classifiers of a few iterations will do here; they need not be good ones.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.integers(0, 128, (40, 8, 8, 3), dtype=np.uint8)
X[20:] += 128
Y = np.repeat(["dark", "light"], 20)
SMALL = X[:, :4, :4]


SEALED = [each for each in GUIDED_ENCRYPTORS if isinstance(each, SealedEncryptor)]


def load(cls, state):
    """Do what pickle does once it has read a state."""
    estimator = cls.__new__(cls)
    estimator.__setstate__(state)
    return estimator


def forge(fitted, **changes):
    """Write the skops file of an estimator, with some attributes changed by hand."""
    state = {**fitted.__getstate__(), **changes}

    class Forged:
        def __getstate__(self):
            return state

    Forged.__name__, Forged.__module__ = type(fitted).__name__, type(fitted).__module__
    return skops.io.dumps(Forged())


def open_skops(data):
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def assert_refused(fitted, match=None, **changes):
    with pytest.raises(StateError, match=match):
        load(type(fitted), {**fitted.__getstate__(), **changes})
    data = forge(fitted, **changes)
    with pytest.raises(StateError, match=match):
        open_skops(data)


@pytest.fixture(autouse=True)
def nothing_large_is_made(monkeypatch):
    """Fail where a map or a network is made of numbers that nobody has checked."""
    made = PixelMap.__init__

    def make_small(self, index, mask, **options):
        if np.size(index) > 10**4:
            pytest.fail("made")
        made(self, index, mask, **options)

    monkeypatch.setattr(PixelMap, "__init__", make_small)


@pytest.fixture(scope="module")
def etc():
    return EtCEncryptor(KEY, block_size=2).fit(X)


@pytest.fixture(scope="module")
def cnn():
    return CNNClassifier(width=4, depth=1, epochs=1).fit(X, Y)


@pytest.fixture(scope="module")
def vit():
    return ViTClassifier(dim=8, depth=1, n_heads=1, patch_size=4, epochs=1).fit(X, Y)


@pytest.fixture(scope="module")
def sealed():
    return SealedEncryptor(KEY, LogisticRegression()).fit(SMALL, Y)


def make_ric():
    return RICEncryptor(KEY, LogisticRegression(C=1e-4), alpha=0.9)


@pytest.fixture(scope="module")
def published():
    encryptor = PublishedRICEncryptor(KEY, LogisticRegression(C=1e-4), epochs=1, alpha=0.9)
    return encryptor.fit(X, Y)


@pytest.fixture(scope="module")
def ric():
    return make_ric().fit(X, Y)


@pytest.fixture(scope="module")
def transformation():
    return TransformationNetworkEncryptor(LogisticRegression(), width=1, epochs=1).fit(SMALL, Y)


# What honest files hold


@pytest.mark.parametrize(
    "estimator",
    [*ENCRYPTORS, *SEALED, *KEYLESS_ENCRYPTORS, *CODECS, *CLASSIFIERS[:5]],
    ids=lambda e: str(e)[:60],
)
def test_every_stored_attribute_says_what_it_may_be(estimator):
    """A new fitted attribute belongs into `_state_constraints`, or has the name of a parameter."""
    if isinstance(estimator, CNNClassifier) or hasattr(estimator, "epochs"):
        estimator = clone(estimator).set_params(epochs=1)
    check_declared(clone(estimator).fit(SMALL, Y))


def test_every_stored_attribute_of_ric_says_what_it_may_be(ric, published):
    for fitted in (ric, published):
        check_declared(fitted)


def check_declared(fitted):
    known = {f"{name}_" for name in fitted.get_params(deep=False)}
    known |= set(fitted.get_params(deep=False)) | set(fitted._state_constraints)
    known |= {"_ricsk_version", "_ricsk_state", "weights_"}
    assert fitted.__getstate__().keys() <= known
    again = open_skops(forge(fitted))
    assert again.__getstate__().keys() == fitted.__getstate__().keys()


# Shapes and counts

HUGE = 10**6


@pytest.mark.parametrize(
    "shape",
    [
        (HUGE, HUGE, 3),
        (2**15, 2**15, 3),
        (0, 8, 3),
        (-8, -8, 3),
        (8, 8, 2),
        (8, 8),
        [8, 8, 3],
        (8.0, 8.0, 3),
        (10**5000, 8, 3),
        "8x8",
        None,
    ],
    ids=lambda shape: (
        str(shape)[:20] if not isinstance(shape, tuple) or shape[0] < 10**10 else "big"
    ),
)
def test_no_image_has_such_a_shape(etc, cnn, shape):
    jpeg = JPEGCodec().fit(X)
    for name in ("image_shape_in_", "ciphertext_shape_"):
        with pytest.raises(StateError, match=name):
            load(EtCEncryptor, {**etc.__getstate__(), name: shape})
    for fitted in (etc, cnn, jpeg):
        with pytest.raises(StateError, match="image_shape_in_"):
            load(type(fitted), {**fitted.__getstate__(), "image_shape_in_": shape})


def test_what_a_state_must_have():
    state = CloudHalf(LogisticRegression()).__getstate__()
    del state["classifier"]
    with pytest.raises(StateError, match="it has no 'classifier'"):
        load(CloudHalf, state)


def test_shapes_that_contradict_each_other(etc, cnn):
    for fitted in (etc, cnn):
        assert_refused(fitted, n_features_in_=10)
        assert_refused(fitted, image_shape_in_=(4, 16, 3))
    assert_refused(etc, ciphertext_shape_=(4, 16, 3))


def test_a_large_shape_takes_no_memory_until_images_come(etc):
    """The fixture above fails if the map is made."""
    shape = (8192, 8192, 3)
    scheme = {**etc.__getstate__()["scheme_"], "image_shape": shape}
    numbers = {"n_features_in_": 3 * 2**26, "image_shape_in_": shape, "ciphertext_shape_": shape}
    loaded = open_skops(forge(etc, scheme_=scheme, **numbers))
    with pytest.raises(ValueError, match="fitted on images of 8192"):
        loaded.transform(X)


@pytest.mark.parametrize(
    "changes",
    [
        {"block_size": HUGE},
        {"block_size": HUGE, "sub_block_size": HUGE, "pad": True},
        {"block_size": 4},  # with sub-blocks of 2, but a key for each
        {"block_size": 0, "sub_block_size": 0},
        {"block_size": -2, "sub_block_size": -2},
        {"block_size": 2.0, "sub_block_size": 2.0},
        {"block_size": None, "sub_block_size": None},
        {"image_shape": (HUGE, HUGE, 3)},
        {"permute": "no"},
        {"variant": "<b>"},
        {"variant": "madono2020", "per_block_keys": False},
        {"grayscale": "rgb"},
        {"make_map": None},
        {"key": "/etc/passwd"},
    ],
    ids=str,
)
def test_no_fit_makes_such_a_scheme(etc, changes):
    assert_refused(etc, scheme_={**etc.__getstate__()["scheme_"], **changes})


def test_schemes_of_the_others():
    pixel, learnable = PixelEncryptor(KEY).fit(X), LearnableEncryptor(KEY).fit(X)
    for fitted, changes in (
        (pixel, {"shuffle_channels": 3}),
        (learnable, {"block_size": HUGE}),
        (learnable, {"block_size": 2**14, "pad": True}),
        (learnable, {"reversal": "none"}),
    ):
        assert_refused(fitted, scheme_={**fitted.__getstate__()["scheme_"], **changes})
    for scheme in (None, [], "", 3):
        assert_refused(pixel, scheme_=scheme)


def test_what_fit_makes_by_padding_is_read():
    for encryptor in (
        EtCEncryptor(KEY, block_size=16, pad=True),
        EtCEncryptor(KEY, block_size=8, pad=True, grayscale="ycbcr"),
        EtCEncryptor(KEY, block_size=8, sub_block_size=2, per_block_keys=False),
        EtCEncryptor(KEY, block_size=8, sub_block_size=8, per_block_keys=False),
        LearnableEncryptor(KEY, block_size=3, pad=True),
    ):
        fitted = encryptor.fit(X)
        np.testing.assert_array_equal(open_skops(forge(fitted)).transform(X), fitted.transform(X))


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "value_range_": [(0.0, 1.0), None, ValueRange(1.0, 0.0), ValueRange(0.0, float("nan"))],
        "input_ndim_": [0, 7, "4", None],
        "input_dtype_": ["O", "V4000000000", "|S9", "no", 4, None],
        "flattens_": ["yes", None],
        "key_": ["key", None, b"0" * 32],
        "n_features_in_": [0, -1, 1e9, "192"],
    }.items(),
)
def test_no_fit_learns_such_a_value(etc, name, values):
    for value in values:
        assert_refused(etc, match=name, **{name: value})


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "bit_planes_": [0, 8, HUGE, -1, 2.5, "auto?"],
        "scale_": [0, HUGE, 50, 4, -3, 1.5],
        "kappa_": [-1.0, float("nan"), "much"],
        "tolerance_": [-1.0, "none", float("nan")],
        "match_": ["<b>", None],
        "nonce_": ["fixed", None],
        "codec_": ["bmp", None],
        "appearance_": [3],
        "templates_": [np.zeros(3), "none", "lazy", None],
        "context_": [b"", b"another", 3],
        "classifier_digest_": [bytes(32), b"", None],
        "classes_": [3, [], np.zeros((2, 2)), np.zeros(0)],
        "feature_layer_": [7],
    }.items(),
)
def test_no_sealed_encryptor_learns_such_a_value(sealed, name, values):
    for value in values:
        assert_refused(sealed, **{name: value})


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "alpha_": [0.0, 1.0, -1, 0.5, float("nan"), "0.5"],
        "kappa_": [-1.0, float("nan")],
        "nonce_": ["random", "random?", None],
        "context_": [b"", b"another"],
        "templates_": ["lazy", None],
        "network_weights_": ["", None, b"", b"\xff" * 16],
    }.items(),
)
def test_no_ric_encryptor_learns_such_a_value(ric, name, values):
    for value in values:
        assert_refused(ric, **{name: value})


def test_templates_are_ciphertexts(ric, sealed):
    for fitted in (ric, sealed):
        shape = fitted.ciphertext_shape_
        one = np.zeros(shape, np.uint8)
        assert load(
            type(fitted),
            {**fitted.__getstate__(), "templates_": ClassTemplates(levels={(1, *shape): one})},
        )
        for templates in (
            ClassTemplates(max_bytes=2**40),
            ClassTemplates(levels={(2, *shape): one}),
            ClassTemplates(levels={(-1, *shape): one}),
            ClassTemplates(levels={("dark", *shape): one}),
            ClassTemplates(levels={(0, *shape): one[1:]}),
            ClassTemplates(levels={(0, *shape): one.astype(float)}),
            ClassTemplates(levels={(0, *shape): "template"}),
        ):
            with pytest.raises(StateError, match="templates"):
                load(type(fitted), {**fitted.__getstate__(), "templates_": templates})


def test_searches_are_neither_endless_nor_begun_on_loading(published):
    key_id = published.key_.key_id
    for passes in (
        {},
        {"0" * 16: published.passes_[key_id]},
        {key_id: [0, 0]},
        {key_id: np.zeros(3, int)},
        {key_id: np.full(2, 10**9)},
        {key_id: np.full(2, -5)},
        {key_id: np.zeros(2)},
    ):
        with pytest.raises(StateError, match="passes_"):
            load(type(published), {**published.__getstate__(), "passes_": passes})


# Networks


@pytest.fixture
def networks_are_not_built(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("built")

    monkeypatch.setattr("ricsk.classifiers._base.build", refuse)


@pytest.mark.parametrize(
    "sizes",
    [
        {"depth": 10**9},
        {"depth": 500},
        {"width": 10**9},
        {"depth": 0},
        {"width": -4},
        {"width": "4"},
        {"n_classes": 10**9},
        {"image_shape": (HUGE, HUGE, 3)},
        {"image_shape": (16, 4, 3)},
        {"name": "vit"},
        {"name": "no such network"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("networks_are_not_built")
def test_no_network_of_such_a_size_is_built(cnn, sizes):
    assert_refused(cnn, network_config_={**cnn.network_config_, **sizes})


def test_networks_that_are_not_those_of_the_weights(cnn, vit, transformation):
    for fitted, sizes in (
        (cnn, {"width": 8}),
        (cnn, {"colour": 3}),
        (vit, {"depth": 2}),
        (vit, {"dim": 16}),
        (vit, {"n_heads": 0}),
        (transformation, {"width": 10**9}),
        (transformation, {"width": 2}),
        (transformation, {"n_channels": 10**9}),
    ):
        assert_refused(fitted, network_config_={**fitted.network_config_, **sizes})
    for weights in (b"", b"\xff" * 100, 2**40 * b"" + (2**40).to_bytes(8, "little"), "weights", 3):
        for fitted in (cnn, transformation):
            assert_refused(fitted, weights_=weights)


def test_classes_and_counts_of_a_classifier(cnn):
    assert_refused(cnn, classes_=np.arange(3))
    assert_refused(cnn, classes_="dark")
    assert_refused(cnn, n_iter_=-1)
    assert_refused(cnn, network_config_=[])
    assert_refused(cnn, history_=3)


# Attributes that stand before methods


@pytest.mark.parametrize("name", ["transform", "inverse_transform", "_encrypt", "_round", "fit"])
def test_no_method_is_hidden(etc, name):
    identity = FunctionTransformer().fit(X).transform
    assert_refused(etc, match=name, **{name: identity})


@pytest.mark.parametrize("name", ["_doc_link_template", "_repr_html_", "__class__", "_pixel_map"])
def test_nothing_else_of_a_class_is_hidden(etc, name):
    assert_refused(etc, match=name, **{name: "<script>"})


def test_networks_do_not_come_as_objects(cnn, transformation):
    assert_refused(transformation, _network=FunctionTransformer())
    assert_refused(cnn, module_=FunctionTransformer())


def test_no_method_of_a_value_is_hidden(etc, sealed):
    templates = ClassTemplates()
    vars(templates)["get"] = FunctionTransformer().fit(X).transform
    changed = {**sealed.__getstate__(), "templates_": templates}
    with pytest.raises(StateError, match="templates_"):
        load(SealedEncryptor, changed)
    again = open_skops(forge(sealed, templates_=templates))
    assert "get" not in vars(again.templates_)
    value_range = ValueRange(0.0, 1.0)
    vars(value_range)["to_uint8"] = FunctionTransformer().fit(X).transform
    assert_refused(etc, match="value_range_", value_range_=value_range)


# Keys


@pytest.fixture
def saved(tmp_path):
    return SecretKey.generate().save(tmp_path / "images.key")


def test_a_key_is_not_bound_by_a_file(saved):
    """A scheme without steps hides nothing, and would be shown with the id of the owner's key."""
    idle = EtCEncryptor(
        saved, block_size=2, permute=False, rotate=False, negate=False, shuffle_channels=False
    )
    with pytest.warns(SmallKeySpaceWarning):
        fitted = idle.fit(X)
    assert (fitted.transform(X) == X).all()
    for estimator in (fitted, clone(idle), PrivateClassifier(fitted, LogisticRegression())):
        data = skops.io.dumps(estimator)
        with pytest.raises(KeyReferenceError, match=saved.key_id):
            open_skops(data)
        is_fitted = not isinstance(estimator, EtCEncryptor) or hasattr(estimator, "scheme_")
        with allow_references(saved), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert isinstance(open_skops(data), type(estimator))
        assert ["hides nothing" in str(warning.message) for warning in warned] == [True] * is_fitted


def test_an_edited_file_is_refused(etc, tmp_path):
    """The numbers are in a text inside the archive."""
    import zipfile

    source, target = tmp_path / "honest.skops", tmp_path / "edited.skops"
    skops.io.dump(etc, source)
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                text = json.dumps(json.loads(content))
                edited = text.replace('"content": "8"', '"content": "1000000"')
                assert edited != text
                content = edited.encode()
            after.writestr(name, content)
    trusted = skops.io.get_untrusted_types(file=target)
    with pytest.raises(StateError):
        skops.io.load(target, trusted=trusted)


@pytest.mark.usefixtures("workers_end")
def test_what_one_has_stored_oneself_needs_no_word(saved, tmp_path):
    """Pickles are trusted with everything: joblib, its workers, caches and clones go on."""
    steps = [
        ("encrypt", EtCEncryptor(saved, block_size=2, flatten=True)),
        ("classify", LogisticRegression()),
    ]
    pipeline = Pipeline(steps, memory=str(tmp_path / "cache"))
    search = GridSearchCV(pipeline, {"encrypt__block_size": [2, 4]}, cv=2, n_jobs=2)
    fitted = search.fit(X, Y).best_estimator_
    joblib.dump(fitted, tmp_path / "pipeline.joblib")
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "pipeline.joblib"),
        clone(fitted).fit(X, Y),
    ):
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_the_html_view_of_what_is_loaded_has_no_tags_of_its_writer(etc):
    for name in ("variant", "image_shape", "block_size"):
        loaded = open_skops(forge(etc, **{name: "<script>alert(1)</script>"}))
        assert "<script>alert" not in loaded._repr_html_()


def test_maps_are_made_once(etc, monkeypatch):
    loaded = open_skops(forge(etc))
    make, made = type(loaded.scheme_).make_map, []

    def count(*args):
        made.append(args)
        return make(*args)

    monkeypatch.setattr(type(loaded.scheme_), "make_map", count)
    for _ in range(2):
        np.testing.assert_array_equal(loaded.transform(X), etc.transform(X))
    assert [scheme is loaded.scheme_ for scheme, _ in made].count(True) == 1
