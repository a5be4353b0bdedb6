"""What a batch of images is: its shapes, dtypes and value ranges.

Every estimator of the package reads images through this room, so that all of them accept the
same things and refuse the same things with the same words.
"""

from ricsk._publish import publish
from ricsk.images._batch import ImageBatch, ImageForm, ImageShape, ImagesLike, describe
from ricsk.images._check import check_images, validate_images
from ricsk.images._flat import flattened_for, with_image_shape
from ricsk.images._foreign import as_table
from ricsk.images._range import ValueRange
from ricsk.images._sizes import (
    SizeGroup,
    find_positions,
    group_by_size,
    naming,
    numbered,
    restore_order,
)

__all__ = [
    "ImageBatch",
    "ImageForm",
    "ImageShape",
    "ImagesLike",
    "SizeGroup",
    "ValueRange",
    "as_table",
    "check_images",
    "describe",
    "find_positions",
    "flattened_for",
    "group_by_size",
    "naming",
    "numbered",
    "restore_order",
    "validate_images",
    "with_image_shape",
]

publish(globals())
