"""How close two images are, and what an encryption costs and hides."""

from ricsk._publish import publish
from ricsk.metrics._perceptual import lpips, perceptual_distance
from ricsk.metrics._scorers import (
    accuracy_drop,
    encryption_scores,
    least_margin,
    noise_likeness_score,
    prediction_agreement,
    recovery_psnr,
)
from ricsk.metrics._services import (
    ByteLimit,
    FileTransport,
    LeastSide,
    StripChunks,
    StripMetadata,
    Transcode,
)
from ricsk.metrics._similarity import correlation, psnr, ssim
from ricsk.metrics._transport import (
    AgreementAfter,
    carry_images,
    cast_to_bfloat16,
    convert_colours,
    resize_and_back,
)

__all__ = [
    "AgreementAfter",
    "ByteLimit",
    "FileTransport",
    "LeastSide",
    "StripChunks",
    "StripMetadata",
    "Transcode",
    "accuracy_drop",
    "carry_images",
    "cast_to_bfloat16",
    "convert_colours",
    "correlation",
    "encryption_scores",
    "least_margin",
    "lpips",
    "noise_likeness_score",
    "perceptual_distance",
    "prediction_agreement",
    "psnr",
    "recovery_psnr",
    "resize_and_back",
    "ssim",
]

publish(globals())
