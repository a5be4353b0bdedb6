import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from ricsk import (
    CNNClassifier,
    ConvMixerClassifier,
    EtCEncryptor,
    LearnableEncryptor,
    PixelEncryptor,
    RICEncryptor,
    SecretKey,
    ViTClassifier,
    adapt_to_key,
    remove_key,
)
from ricsk.datasets import load_digits
from ricsk.exceptions import NotAdaptableError
from ricsk.nn import CNN, ConvMixer, ImageNetwork, ViT, register

KEYS = [SecretKey(bytes([number]) * 32) for number in range(4)]
SHAPE = (16, 24, 3)
PATCH = 4
rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (6, *SHAPE), dtype=np.uint8)

OFF = {"permute": False, "rotate": False, "negate": False, "shuffle_channels": False}
SHARED = {"block_size": PATCH, "per_block_keys": False}
IN_PLACE = {
    "rotate": {**SHARED, **OFF, "rotate": True},
    "negate": {**SHARED, **OFF, "negate": True},
    "colours": {**SHARED, **OFF, "shuffle_channels": True},
    "pixels": {**SHARED, **OFF, "sub_block_size": 1},
    "sub-blocks": {**SHARED, "permute": False, "sub_block_size": 2},
    "blocks smaller than patches": {**SHARED, "permute": False, "block_size": 2},
}
FORMS = {
    "blocks": {**SHARED, **OFF, "permute": True},
    "blocks, with keys of their own": {**OFF, "block_size": PATCH, "permute": True},
    "all steps": SHARED,
    "all steps, pixels": {**SHARED, "sub_block_size": 1},
    "all steps, sub-blocks": {**SHARED, "sub_block_size": 2},
    "blocks larger than patches": {**SHARED, "block_size": 2 * PATCH},
    **IN_PLACE,
}

every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
every_form_in_place = pytest.mark.parametrize("form", IN_PLACE.values(), ids=IN_PLACE)
every_key = pytest.mark.parametrize("key", KEYS, ids=str)


class TimmLike(nn.Module):
    """The layout of timm's transformers, in all its kinds that matter here."""

    def __init__(self, bias=True, distilled=False, n_registers=0, embed_class=True, relative=False):
        super().__init__()
        n_patches, dim = (SHAPE[0] // PATCH) * (SHAPE[1] // PATCH), 12
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH, bias=bias)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, dim)) if distilled else None
        self.reg_token = nn.Parameter(torch.zeros(1, n_registers, dim)) if n_registers else None
        n_tokens = 1 + distilled + n_registers
        self.embed_class = embed_class
        n_embedded = n_patches + n_tokens * embed_class
        self.pos_embed = nn.Parameter(torch.zeros(1, n_embedded, dim))
        self.relative = nn.Parameter(torch.zeros(n_tokens + n_patches, 1)) if relative else None
        self.layer = nn.TransformerEncoderLayer(dim, 2, 24, dropout=0.1, batch_first=True)
        self.head = nn.Linear(dim, 5)
        large_(self)

    def forward(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        if not self.embed_class:
            x = x + self.pos_embed
        tokens = [t for t in (self.cls_token, self.dist_token, self.reg_token) if t is not None]
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in tokens), x], dim=1)
        if self.embed_class:
            x = x + self.pos_embed
        if self.relative is not None:
            x = x * self.relative
        return self.head(self.layer(x)[:, 0])


class TimmMixer(nn.Module):
    """The layout of timm's MLP-Mixer, gMixer and ResMLP."""

    def __init__(self, block="mixer", n_patches=24, shared=False, flat=False, **options):
        super().__init__()
        dim, make = 12, {"mixer": MixerBlock, "resmlp": ResBlock}[block]
        self.stem = nn.Module()
        self.stem.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)
        blocks = [make(dim, n_patches, **options) for _ in range(2)]
        self.blocks = nn.Sequential(*(blocks[:1] * 2 if shared else blocks))
        self.norm = nn.LayerNorm(dim)
        self.flat = flat
        self.head = nn.Linear(dim * n_patches if flat else dim, 5)
        large_(self)

    def forward(self, x):
        x = self.norm(self.blocks(self.stem.proj(x).flatten(2).transpose(1, 2)))
        return self.head(x.flatten(1) if self.flat else x.mean(dim=1))


class MixerBlock(nn.Module):
    def __init__(self, dim, n_patches, **options):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp_tokens, self.mlp_channels = Mlp(n_patches, 10, **options), Mlp(dim, 20)

    def forward(self, x):
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mlp(nn.Module):
    def __init__(self, n, hidden, bias=True, gated=False):
        super().__init__()
        self.fc1 = nn.Linear(n, (1 + gated) * hidden, bias)
        self.fc2 = nn.Linear(hidden, n, bias)
        self.activation = nn.GLU() if gated else nn.GELU()

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


class ResBlock(nn.Module):
    def __init__(self, dim, n_patches):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.linear_tokens = nn.Linear(n_patches, n_patches)
        self.mlp_channels = Mlp(dim, 20)

    def forward(self, x):
        x = x + self.scale * self.linear_tokens(x.transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(x)


def large_(network):
    """Make all weights large, so that no part of the network can be wrong unseen."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        std = 1 if parameter.ndim < 2 else parameter[0].numel() ** -0.5
        nn.init.normal_(parameter, std=std, generator=generator)
    return network


def small_vit(shape=SHAPE, **sizes):
    network = ViT(shape, 5, **{"dim": 12, "depth": 2, "n_heads": 2, "patch_size": PATCH, **sizes})
    return large_(network).eval()


def small_mixer():
    network = ConvMixer(SHAPE, 5, dim=8, depth=2, kernel_size=3, patch_size=PATCH)
    return large_(network).eval()


def read(network, pixels, mean=0.5, std=0.5):
    dtype = next(network.parameters()).dtype
    x = (torch.from_numpy(pixels).double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    with torch.inference_mode():
        return network(x.permute(0, 3, 1, 2).to(dtype))


def encrypted(key, form, X=PIXELS):
    encryptor = EtCEncryptor(key, **form).fit(X)
    return encryptor, encryptor.transform(X)


@every_key
@every_form
def test_vit_reads_ciphertexts_as_it_read_images(form, key):
    encryptor, C = encrypted(key, form)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        plain = small_vit().to(dtype)
        expected = read(plain, PIXELS)
        keyed = adapt_to_key(plain, encryptor)
        torch.testing.assert_close(read(keyed, C), expected, atol=tolerance, rtol=0)
        # It would show if a part were left as it was.
        if not np.array_equal(C, PIXELS):
            assert (read(plain, C) - expected).abs().max() > 0.005


@every_form
def test_every_form_encrypts_with_some_key(form):
    assert any(not np.array_equal(encrypted(key, form)[1], PIXELS) for key in KEYS)


@every_key
@every_form_in_place
def test_convmixer_reads_ciphertexts_whose_patches_stay_in_place(form, key):
    encryptor, C = encrypted(key, form)
    plain = small_mixer()
    keyed = adapt_to_key(plain, encryptor)
    torch.testing.assert_close(read(keyed, C), read(plain, PIXELS), atol=1e-4, rtol=0)


every_mixer = pytest.mark.parametrize(
    "layout",
    [{}, {"bias": False}, {"gated": True}, {"shared": True}, {"block": "resmlp"}],
    ids=["mixer", "no bias", "gated", "shared blocks", "resmlp"],
)


@pytest.mark.parametrize("key", KEYS[:2], ids=str)
@every_form
@every_mixer
def test_mlp_mixers_read_ciphertexts_as_they_read_images(layout, form, key):
    encryptor, C = encrypted(key, form)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        plain = TimmMixer(**layout).eval().to(dtype)
        keyed = adapt_to_key(plain, encryptor)
        expected = read(plain, PIXELS)
        torch.testing.assert_close(read(keyed, C), expected, atol=tolerance, rtol=0)
        if not np.array_equal(C, PIXELS):
            assert (read(plain, C) - expected).abs().max() > 0.005
        again = remove_key(keyed, encryptor).state_dict()
        for name, tensor in plain.state_dict().items():
            assert torch.equal(again[name], tensor), name


def test_mlp_mixers_whose_patches_are_put_in_a_row_are_refused():
    permuted, _ = encrypted(KEYS[0], SHARED)
    in_place, C = encrypted(KEYS[0], {**SHARED, "permute": False})
    plain = TimmMixer(flat=True).eval()
    with pytest.raises(NotAdaptableError, match=r"TimmMixer answers differently .* token mixing"):
        adapt_to_key(plain, permuted)
    keyed = adapt_to_key(plain, in_place)
    torch.testing.assert_close(read(keyed, C), read(plain, PIXELS), atol=1e-4, rtol=0)


def test_token_mixing_that_is_not_found_is_refused():
    encryptor, _ = encrypted(KEYS[0], SHARED)
    network = TimmMixer()
    for block, message in zip(
        network.blocks,
        ["answers differently", r"no position .* mlp_tokens or linear_tokens .* permute=False"],
        strict=True,
    ):
        mlp = block.mlp_tokens
        block.mlp_tokens = nn.Sequential(mlp.fc1, mlp.activation, mlp.fc2)
        with pytest.raises(NotAdaptableError, match=f"TimmMixer .*{message}"):
            adapt_to_key(network, encryptor)


def test_mlp_mixers_of_another_size_are_refused():
    for form in (SHARED, {**SHARED, "permute": False}):
        with pytest.raises(ValueError, match="mixes 16 tokens into 16, but ciphertexts have 24"):
            adapt_to_key(TimmMixer(n_patches=16), encrypted(KEYS[0], form)[0])


@pytest.mark.parametrize("kind", ["vit", "mixer"])
def test_grey_images(kind):
    shape, X = (16, 24, 1), PIXELS[..., :1]
    encryptor, C = encrypted(KEYS[1], {**SHARED, "sub_block_size": 2, "permute": kind == "vit"}, X)
    plain = small_vit(shape) if kind == "vit" else large_(ConvMixer(shape, 5, 8, 1, 3, 4)).eval()
    keyed = adapt_to_key(plain, encryptor)
    torch.testing.assert_close(read(keyed, C), read(plain, X), atol=1e-4, rtol=0)


@pytest.mark.parametrize("key", KEYS[:2], ids=str)
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"bias": False},
        {"distilled": True},
        {"n_registers": 4},
        {"n_registers": 4, "embed_class": False},
    ],
    ids=str,
)
def test_the_layout_of_timm_with_unequal_normalization(layout, key):
    normalization = {"mean": [0.485, 0.456, 0.406], "std": [0.2, 0.25, 0.4]}
    encryptor, C = encrypted(key, {**SHARED, "sub_block_size": 2})
    plain = TimmLike(**layout).eval()
    keyed = adapt_to_key(plain, encryptor, **normalization)
    expected = read(plain, PIXELS, **normalization)
    torch.testing.assert_close(read(keyed, C, **normalization), expected, atol=1e-4, rtol=0)
    back = remove_key(keyed, encryptor, **normalization)
    torch.testing.assert_close(read(back, PIXELS, **normalization), expected, atol=1e-4, rtol=0)
    n_before = plain.pos_embed.shape[1] - 24
    assert torch.equal(keyed.pos_embed[:, :n_before], plain.pos_embed[:, :n_before])


def test_a_stem_before_any_network_that_leaves_patches_in_place():
    plain = nn.Module()
    plain.stem = nn.Sequential(nn.Conv2d(3, 8, PATCH, stride=PATCH), nn.ReLU())
    plain.forward = lambda x: plain.stem(x).flatten(1)
    encryptor, C = encrypted(KEYS[0], IN_PLACE["sub-blocks"])
    # The forward of this module is of the instance, which a copy would not follow.
    with pytest.raises(NotAdaptableError, match="answers differently"):
        adapt_to_key(plain, encryptor)

    class Stemmed(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = plain.stem

        def forward(self, x):
            return self.stem(x).flatten(1)

    keyed = adapt_to_key(Stemmed(), encryptor)
    torch.testing.assert_close(read(keyed, C), read(Stemmed(), PIXELS), atol=1e-4, rtol=0)


def test_a_network_in_which_positions_act_elsewhere_too_is_refused():
    encryptor, _ = encrypted(KEYS[0], SHARED)
    network = TimmLike(relative=True).train()
    with pytest.raises(NotAdaptableError, match="TimmLike answers differently"):
        adapt_to_key(network, encryptor)
    assert all(module.training for module in network.modules())


def test_the_given_network_is_not_changed():
    encryptor, _ = encrypted(KEYS[0], {**SHARED, "sub_block_size": 1})
    for plain in (small_vit(), TimmLike().train()):
        before = copy.deepcopy(plain.state_dict())
        keyed = adapt_to_key(plain, encryptor)
        assert all(torch.equal(before[name], t) for name, t in plain.state_dict().items())
        changed = {n for n, t in keyed.state_dict().items() if not torch.equal(before[n], t)}
        assert changed == {"patch_embed.proj.weight", "pos_embed"}
        assert {type(keyed), keyed.training} == {type(plain), plain.training}


@every_form
def test_removing_the_key_brings_the_same_tensors_back(form):
    encryptor, _ = encrypted(KEYS[2], form)
    plain = small_vit()
    again = remove_key(adapt_to_key(plain, encryptor), encryptor)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def optimizers():
    return {
        "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        "SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    }


def train(network, pixels, targets, optimizer):
    """Train for some steps, with clipping as the classifiers do; return the losses."""
    x = 2 * torch.from_numpy(pixels).double().permute(0, 3, 1, 2) / 255 - 1
    order = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(30):
        batch = torch.randperm(len(x), generator=order)[:16]
        loss = F.cross_entropy(network(x[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.parametrize("optimizer", optimizers())
@pytest.mark.parametrize("kind", ["vit", "convmixer", "mlp-mixer"])
def test_fine_tuning_commutes_with_the_key(kind, optimizer):
    X = rng.integers(0, 256, (64, *SHAPE), dtype=np.uint8)
    targets = torch.from_numpy((X[:, :8].mean(axis=(1, 2, 3)) > X[:, 8:].mean(axis=(1, 2, 3))) * 1)
    form = {**SHARED, "sub_block_size": 2, "permute": kind != "convmixer"}
    encryptor, C = encrypted(KEYS[3], form, X)
    make = optimizers()[optimizer]
    network = {"vit": small_vit, "convmixer": small_mixer, "mlp-mixer": TimmMixer}[kind]()
    plain = network.double().train()
    keyed = adapt_to_key(plain, encryptor)
    unadapted = copy.deepcopy(plain)
    expected = train(plain, X, targets, make(plain.parameters()))
    found = train(keyed, C, targets, make(keyed.parameters()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected[-5:].mean() < expected[:5].mean()
    for name, tensor in remove_key(keyed, encryptor).state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name], rtol=1e-5, atol=1e-7)
    # Without the key the curve is another one.
    others = train(unadapted, C, targets, make(unadapted.parameters()))
    assert np.abs(others - expected).max() > 0.01


X_DIGITS, Y_DIGITS = load_digits(size=8)
DIGITS_FORM = {"block_size": 2, "per_block_keys": False, "sub_block_size": 1}


@pytest.fixture(scope="module")
def vit():
    classifier = ViTClassifier(
        dim=32, depth=2, patch_size=2, epochs=12, learning_rate=0.005, random_state=0
    )
    return classifier.fit(X_DIGITS[:1000], Y_DIGITS[:1000])


@pytest.fixture(scope="module")
def mixer():
    classifier = ConvMixerClassifier(dim=16, depth=1, patch_size=2, epochs=3, random_state=0)
    return classifier.fit(X_DIGITS[:1000], Y_DIGITS[:1000])


@every_key
def test_a_fitted_vit_classifier_loses_nothing(vit, key):
    X = X_DIGITS[1000:]
    encryptor, C = encrypted(key, DIGITS_FORM, X)
    keyed = adapt_to_key(vit, encryptor)
    assert type(keyed) is ViTClassifier
    expected = vit.decision_function(X)
    assert np.abs(keyed.decision_function(C) - expected).max() < 1e-4
    np.testing.assert_array_equal(keyed.predict(C), vit.predict(X))
    np.testing.assert_allclose(keyed.predict_proba(C), vit.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(keyed.features(C), vit.features(X), atol=1e-4)
    assert vit.score(X, Y_DIGITS[1000:]) > 0.6
    np.testing.assert_array_equal(vit.decision_function(X), expected)


def test_a_fitted_convmixer_classifier_loses_nothing(mixer):
    X = X_DIGITS[1000:]
    encryptor, C = encrypted(KEYS[1], {**DIGITS_FORM, "permute": False}, X)
    keyed = adapt_to_key(mixer, encryptor)
    assert np.abs(keyed.decision_function(C) - mixer.decision_function(X)).max() < 1e-4
    np.testing.assert_array_equal(keyed.predict(C), mixer.predict(X))


def test_another_key_reads_by_chance(vit):
    keyed = adapt_to_key(vit, encrypted(KEYS[0], DIGITS_FORM, X_DIGITS)[0])
    accuracies = [
        keyed.score(encrypted(key, DIGITS_FORM, X_DIGITS)[1], Y_DIGITS) for key in KEYS[1:]
    ]
    assert max(*accuracies, keyed.score(X_DIGITS, Y_DIGITS)) < 0.3


def test_changing_keys(vit):
    (old, _), (new, C) = (encrypted(key, DIGITS_FORM, X_DIGITS) for key in KEYS[:2])
    keyed = adapt_to_key(remove_key(adapt_to_key(vit, old), old), new)
    np.testing.assert_array_equal(keyed.predict(C), vit.predict(X_DIGITS))


@pytest.mark.parametrize("value_range", [None, (-3.0, 5.0), (-4.0, 9.0)])
def test_floats_on_ranges_of_their_own(value_range):
    """The encryptor negates on its own range, which need not be that of the classifier."""
    X = 8 * (X_DIGITS / 255.0) - 3
    classifier = ViTClassifier(dim=16, depth=1, patch_size=2, epochs=1, random_state=0)
    classifier.fit(X[:100], Y_DIGITS[:100])
    for key in KEYS:
        encryptor, C = encrypted(key, {**DIGITS_FORM, "value_range": value_range}, X)
        keyed = adapt_to_key(classifier, encryptor)
        found = keyed.decision_function(C)
        assert np.abs(found - classifier.decision_function(X)).max() < 1e-4


def test_flattened_images():
    X = X_DIGITS.reshape(len(X_DIGITS), -1) / 255.0
    classifier = ViTClassifier(dim=16, depth=1, patch_size=2, epochs=1, image_shape=(8, 8))
    classifier.fit(X[:100], Y_DIGITS[:100])
    encryptor = EtCEncryptor(KEYS[0], image_shape=(8, 8), **DIGITS_FORM).fit(X)
    found = adapt_to_key(classifier, encryptor).decision_function(encryptor.transform(X))
    assert np.abs(found - classifier.decision_function(X)).max() < 1e-4


@pytest.mark.parametrize("copy", ["pickle", "joblib", "skops"])
def test_adapted_classifiers_can_be_saved(vit, copy):
    encryptor, C = encrypted(KEYS[0], DIGITS_FORM, X_DIGITS)
    keyed = adapt_to_key(vit, encryptor)
    if copy == "pickle":
        again = pickle.loads(pickle.dumps(keyed))
    elif copy == "joblib":
        file = io.BytesIO()
        joblib.dump(keyed, file)
        file.seek(0)
        again = joblib.load(file)
    else:
        dumped = skops.io.dumps(keyed)
        again = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    np.testing.assert_array_equal(again.decision_function(C), keyed.decision_function(C))


@pytest.mark.parametrize(
    ("encryptor", "message"),
    [
        (EtCEncryptor(KEYS[0], block_size=PATCH), "not do the same within all.*block_size=4"),
        *(
            (EtCEncryptor(KEYS[0], block_size=PATCH, **{**OFF, step: True}), "not do the same")
            for step in ("rotate", "negate", "shuffle_channels")
        ),
        (EtCEncryptor(KEYS[0], per_block_keys=False, block_size=2), "mixes the network's patches"),
        (
            EtCEncryptor(KEYS[0], per_block_keys=False, block_size=8, sub_block_size=4),
            "not do the same within all",
        ),
        (EtCEncryptor(KEYS[0], variant="madono2020"), "loses pixel values"),
        (LearnableEncryptor(KEYS[0]), "more than moving and negating"),
        (PixelEncryptor(KEYS[0]), "not do the same within all"),
    ],
    ids=str,
)
def test_encryptions_that_treat_patches_differently_are_refused(encryptor, message):
    with pytest.raises(NotAdaptableError, match=message):
        adapt_to_key(small_vit(), encryptor.fit(PIXELS))


def test_networks_that_cannot_follow_are_refused():
    encryptor, _ = encrypted(KEYS[0], SHARED)
    with pytest.raises(NotAdaptableError, match=r"ConvMixer has no position.*permute=False"):
        adapt_to_key(small_mixer(), encryptor)
    with pytest.raises(NotAdaptableError, match="CNN does not begin by embedding square patches"):
        adapt_to_key(CNN(SHAPE, 5), encryptor)
    with pytest.raises(NotAdaptableError, match="Linear does not begin"):
        adapt_to_key(nn.Linear(3, 3), encryptor)
    for wrong in (
        nn.Conv2d(3, 8, 4, stride=2),
        nn.Conv2d(3, 8, (4, 2), stride=(4, 2)),
        nn.Conv2d(3, 8, 4, stride=4, padding=2),
        nn.Conv2d(3, 9, 4, stride=4, groups=3),
        nn.Conv2d(3, 8, 4, stride=4, dilation=2),
    ):
        network = TimmLike()
        network.patch_embed.proj = wrong
        with pytest.raises(NotAdaptableError, match="does not begin"):
            adapt_to_key(network, encryptor)
    classifier = CNNClassifier(width=4, depth=1, epochs=1).fit(PIXELS, [0, 1] * 3)
    with pytest.raises(NotAdaptableError, match="CNN does not begin"):
        adapt_to_key(classifier, encryptor)


def test_registered_networks_are_checked_by_their_answers():
    @register("vit of a test")
    class Ordered(ViT):
        def forward_features(self, x):
            return super().forward_features(x * torch.linspace(-1, 1, x.shape[3]))

    class OrderedClassifier(ViTClassifier):
        _network = "vit of a test"

    classifier = OrderedClassifier(dim=16, depth=1, patch_size=PATCH, epochs=1)
    classifier.fit(PIXELS, [0, 1] * 3)
    with pytest.raises(NotAdaptableError, match="Ordered answers differently"):
        adapt_to_key(classifier, encrypted(KEYS[0], SHARED)[0])
    assert issubclass(Ordered, ImageNetwork)


def test_sizes_that_differ_are_refused(vit):
    encryptor, _ = encrypted(KEYS[0], SHARED)
    with pytest.raises(ValueError, match=r"8×8 pixels with 1 channel, but .* 16×24 .* 3 channels"):
        adapt_to_key(vit, encryptor)
    with pytest.raises(ValueError, match=r"\(1, 17, 12\), but ciphertexts have 24 patches"):
        adapt_to_key(small_vit((16, 16, 3)), encryptor)
    with pytest.raises(ValueError, match="reads images of 1 channels"):
        adapt_to_key(small_vit((16, 24, 1)), encryptor)
    with pytest.raises(ValueError, match="do not fall into the network's patches of 5×5"):
        adapt_to_key(small_vit((20, 20, 3), patch_size=5), encryptor)
    padded = EtCEncryptor(KEYS[0], pad=True, **DIGITS_FORM).fit(PIXELS[:, :7, :7, :1])
    with pytest.raises(ValueError, match="with pad or grayscale"):
        adapt_to_key(
            ViTClassifier(dim=16, depth=1, patch_size=7, epochs=1).fit(
                PIXELS[:, :7, :7, :1], [0, 1] * 3
            ),
            padded,
        )


def test_what_was_fitted_is_moved_whatever_the_parameters_are_now():
    plain = small_vit()
    encryptor, C = encrypted(KEYS[0], {**SHARED, "sub_block_size": 2})
    encryptor.set_params(
        block_size=2, per_block_keys=True, sub_block_size=None, key=KEYS[1], pad=True
    )
    keyed = adapt_to_key(plain, encryptor)
    torch.testing.assert_close(read(keyed, C), read(plain, PIXELS), atol=1e-4, rtol=0)
    again = remove_key(keyed, encryptor.set_params(permute=False))
    assert torch.equal(again.pos_embed, plain.pos_embed)


@pytest.mark.parametrize("move", [adapt_to_key, remove_key])
def test_an_encryption_that_loses_values_is_refused(move):
    lossy, _ = encrypted(KEYS[0], {"variant": "madono2020"})
    with pytest.raises(NotAdaptableError, match="loses pixel values"):
        move(small_vit(), lossy)


def test_what_is_no_network_or_no_encryptor_is_refused(vit):
    encryptor, _ = encrypted(KEYS[0], DIGITS_FORM, X_DIGITS)
    with pytest.raises(TypeError, match="LogisticRegression is not a network"):
        adapt_to_key(LogisticRegression(), encryptor)
    with pytest.raises(TypeError, match=r"RICEncryptor .* expected an EtCEncryptor"):
        adapt_to_key(vit, RICEncryptor(KEYS[0]))
    with pytest.raises(NotFittedError):
        adapt_to_key(vit, EtCEncryptor(KEYS[0]))
    with pytest.raises(NotFittedError):
        adapt_to_key(ViTClassifier(), encryptor)


@pytest.mark.parametrize(
    ("normalization", "message"),
    [
        ({"std": 0}, "with std above 0"),
        ({"mean": [0.5, 0.5]}, "one for each of the 3 channels"),
        ({"mean": float("nan")}, "not a normalization"),
    ],
)
def test_impossible_normalizations_are_refused(normalization, message):
    with pytest.raises(ValueError, match=message):
        adapt_to_key(small_vit(), encrypted(KEYS[0], SHARED)[0], **normalization)


def test_classifiers_have_their_own_normalization(vit):
    encryptor, _ = encrypted(KEYS[0], DIGITS_FORM, X_DIGITS)
    with pytest.raises(ValueError, match="leave mean and std out"):
        adapt_to_key(vit, encryptor, mean=0.5)


def test_who_has_both_networks_has_the_key():
    """What the docs warn of."""
    encryptor, C = encrypted(KEYS[0], {**SHARED, "sub_block_size": 1})
    plain = small_vit()
    keyed = adapt_to_key(plain, encryptor)
    before, after = (n.patch_embed.proj.weight.detach().flatten(1).T for n in (plain, keyed))
    kept, negated = torch.cdist(after, before), torch.cdist(after, -before)
    place = torch.minimum(kept, negated).argmin(dim=1)
    sign = torch.where(kept.min(dim=1).values < negated.min(dim=1).values, 1, -1)
    patch = torch.cdist(keyed.pos_embed[0, 1:], plain.pos_embed[0, 1:]).argmin(dim=1)
    x, c = (
        F.unfold(torch.from_numpy(p).permute(0, 3, 1, 2) / 127.5 - 1, PATCH, stride=PATCH)
        for p in (PIXELS, C)
    )
    torch.testing.assert_close(x[:, place][:, :, patch] * sign[:, None], c)
