from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ricsk import CNNClassifier, PixelEncryptor, PretrainedClassifier
from ricsk._frozen import is_frozen
from ricsk.cloud import CloudHalf
from ricsk.images import with_image_shape
from tests.pretrained.networks import make_network


class Own(BaseEstimator):
    """Clones in its own way, to another object."""

    def __sklearn_clone__(self):
        return Own()


def test_what_clones_to_itself_is_frozen():
    frozen = FrozenEstimator(LogisticRegression())
    for estimator in (frozen, CloudHalf(frozen), PretrainedClassifier(make_network())):
        assert is_frozen(estimator)
    for estimator in (
        LogisticRegression(),
        make_pipeline(frozen),
        PixelEncryptor(),
        Own(),
        make_network(),
        LogisticRegression,
        None,
    ):
        assert not is_frozen(estimator)


def test_a_frozen_estimator_is_not_told_how_images_are_shaped():
    pretrained = PretrainedClassifier(make_network())
    assert with_image_shape(pretrained, (8, 8, 3)).image_shape is None
    assert with_image_shape(CNNClassifier(), (8, 8, 3)).image_shape == (8, 8, 3)
