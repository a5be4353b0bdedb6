import pytest

from ricsk.nn import CNN, build, names, register


def test_networks_have_names():
    assert {"cnn", "convmixer", "vit"} <= set(names())
    assert names() == sorted(names())


def test_build_makes_what_the_name_says():
    assert isinstance(build("cnn", image_shape=(8, 8, 1), n_classes=2, width=4), CNN)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no network named 'resnet'; expected one of .*cnn, convmixer"
    ):
        build("resnet", image_shape=(8, 8, 1), n_classes=2)


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="'cnn' already belongs to CNN"):
        register("cnn")(CNN)
