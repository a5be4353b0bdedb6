"""What models of timm and of Hugging Face say of themselves, by stand-ins with their attributes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ricsk import PretrainedClassifier
from ricsk.pretrained import ModelReference
from tests.pretrained.networks import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Config,
    Processor,
    TimmModel,
    TransformersModel,
    make_images,
    make_timm,
)

X = make_images(4, (20, 20))


def params_of(classifier, *names):
    return tuple(getattr(classifier, name) for name in names)


def test_a_timm_model_says_what_it_expects():
    classifier = PretrainedClassifier.from_timm(TimmModel())
    assert params_of(classifier, "size", "crop", "interpolation") == ((16, 16), 0.8, "bicubic")
    assert params_of(classifier, "mean", "std") == (IMAGENET_MEAN, IMAGENET_STD)
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert classifier.predict(X).shape == (4,)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"crop_mode": "squash"}, ((16, 16), None, "bicubic")),
        ({"interpolation": "bilinear"}, ((16, 16), 0.8, "bilinear")),
        ({"interpolation": "random"}, ((16, 16), 0.8, "bicubic")),
        ({"crop_pct": None}, ((16, 16), 0.875, "bicubic")),
        ({"input_size": (3, 12, 20)}, ((12, 20), 0.8, "bicubic")),
    ],
)
def test_other_configurations_of_timm(config, expected):
    classifier = PretrainedClassifier.from_timm(TimmModel(**config))
    assert params_of(classifier, "size", "crop", "interpolation") == expected


def test_a_configuration_of_timm_may_be_an_object():
    model = TimmModel()
    model.pretrained_cfg = SimpleNamespace(**model.pretrained_cfg)
    assert PretrainedClassifier.from_timm(model).size == (16, 16)


def test_labels_of_timm(monkeypatch):
    for name, module in make_timm().items():
        monkeypatch.setitem(sys.modules, name, module)
    assert PretrainedClassifier.from_timm(TimmModel(8)).classes_[3] == "thing 3"
    assert PretrainedClassifier.from_timm(TimmModel(4)).classes is None
    named = TimmModel(label_names=["n1", "n2", "n3", "n4"], label_descriptions={"n2": "crane"})
    assert PretrainedClassifier.from_timm(named).classes_.tolist() == ["n1", "crane", "n3", "n4"]


def test_what_the_user_says_comes_first():
    classifier = PretrainedClassifier.from_timm(TimmModel(), crop=None, classes=list("abcd"))
    assert params_of(classifier, "crop", "classes") == (None, list("abcd"))
    classifier = PretrainedClassifier.from_transformers(
        TransformersModel(Config()), Processor(), classes=list("abcd")
    )
    assert classifier.classes == list("abcd")


def test_a_reference_is_read_like_its_model():
    reference = ModelReference(TimmModel, {"crop_pct": 0.7})
    classifier = PretrainedClassifier.from_timm(reference)
    assert classifier.crop == 0.7
    assert classifier.model is reference


def test_a_model_of_transformers_and_its_processor():
    model = TransformersModel(Config())
    classifier = PretrainedClassifier.from_transformers(model, Processor())
    assert params_of(classifier, "size", "crop", "interpolation") == ((16, 16), None, "bilinear")
    np.testing.assert_allclose(classifier.mean, [0.5, 0.5, 0.5])
    np.testing.assert_allclose(classifier.std, [0.25, 0.5, 0.5])
    # Two labels are the same, as in ImageNet.
    assert classifier.classes_.tolist() == ["cat", "crane (1)", "dog", "crane (3)"]
    images = make_images(4, (16, 16))
    values = torch.from_numpy(np.moveaxis(images, -1, 1) / np.float32(255))
    std = torch.tensor([0.25, 0.5, 0.5])[:, None, None]
    with torch.inference_mode():
        expected = model((values - 0.5) / std).logits
    np.testing.assert_allclose(classifier.decision_function(images), expected, atol=1e-4)


SHORTEST = {"shortest_edge": 20}
BOX = {"height": 16, "width": 16}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"size": SHORTEST, "do_center_crop": True, "crop_size": BOX}, ((16, 16), 0.8)),
        ({"size": SHORTEST, "do_center_crop": False, "crop_size": BOX}, ((20, 20), 1.0)),
        ({"size": SHORTEST, "crop_pct": 0.875}, ((20, 20), 0.875)),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, ((384, 384), None)),
        ({"size": 24}, ((24, 24), None)),
        ({"size": SimpleNamespace(height=8, width=12)}, ((8, 12), None)),
        ({"size": BOX, "do_center_crop": True, "crop_size": BOX}, ((16, 16), None)),
        ({"do_resize": False}, (None, None)),
        ({"do_resize": False, "do_center_crop": True, "crop_size": BOX}, ((16, 16), 1.0)),
        ({"size": SHORTEST, "do_center_crop": True, "crop_size": SHORTEST}, ((20, 20), 1.0)),
    ],
)
def test_how_processors_resize(params, expected):
    model = TransformersModel(Config())
    classifier = PretrainedClassifier.from_transformers(model, Processor(**params))
    assert params_of(classifier, "size", "crop") == expected


def test_a_crop_of_what_loses_its_proportions_is_refused():
    processor = Processor(size={"height": 32, "width": 32}, do_center_crop=True, crop_size=BOX)
    with pytest.raises(ValueError, match="Give size= and crop= yourself"):
        PretrainedClassifier.from_transformers(TransformersModel(Config()), processor)


@pytest.mark.parametrize(
    ("params", "process"),
    [
        ({}, lambda levels: (levels / 255 - 0.5) / [0.25, 0.5, 0.5]),
        ({"do_normalize": False}, lambda levels: levels / 255),
        ({"rescale_factor": 1 / 127.5}, lambda levels: (levels / 127.5 - 0.5) / [0.25, 0.5, 0.5]),
        ({"do_rescale": False}, lambda levels: (levels - 0.5) / [0.25, 0.5, 0.5]),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            lambda levels: levels / 127.5 - 1,
        ),
    ],
)
def test_how_processors_normalize(params, process):
    model = TransformersModel(Config())
    classifier = PretrainedClassifier.from_transformers(model, Processor(**params))
    levels = np.arange(0, 256, 51)[:, None] * np.ones(3)
    found = (levels / 255 - classifier.mean) / classifier.std
    np.testing.assert_allclose(found, process(levels), atol=1e-9)


@pytest.mark.parametrize(("number", "name"), [(0, "nearest"), (1, "bicubic"), (3, "bicubic")])
def test_how_processors_resample(number, name):
    classifier = PretrainedClassifier.from_transformers(
        TransformersModel(Config()), Processor(resample=number)
    )
    assert classifier.interpolation == name


def test_others_are_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"not a model of timm: .* PretrainedClassifier\(model, si"):
        PretrainedClassifier.from_timm(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected an image classifier of transformers and its im"):
        PretrainedClassifier.from_transformers(nn.Linear(2, 2), Processor())
    with pytest.raises(TypeError, match="a TransformersModel and a str"):
        PretrainedClassifier.from_transformers(TransformersModel(Config()), "processor")
