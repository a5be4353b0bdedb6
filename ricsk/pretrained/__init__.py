"""Networks that somebody else has trained, as classifiers that are fitted and stay as they are."""

from ricsk._publish import publish
from ricsk.pretrained._classifier import PretrainedClassifier
from ricsk.pretrained._onnx import load_onnx
from ricsk.pretrained._reference import ModelReference

__all__ = ["ModelReference", "PretrainedClassifier", "load_onnx"]

publish(globals())
