"""How ONNX files of this package name what is in them, for those who write and who read them."""

__all__ = ["CLASSES", "INPUT", "OUTPUTS"]

CLASSES = "ricsk.classes"
"""Key of the metadata under which the labels are, as JSON."""

INPUT = "images"

OUTPUTS = ("labels", "probabilities", "features")
"""The last is there only where the network ends in a linear layer."""
