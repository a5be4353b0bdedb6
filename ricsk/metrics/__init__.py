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
from ricsk.metrics._similarity import correlation, psnr, ssim
from ricsk.metrics._transport import AgreementAfter, cast_to_bfloat16, resize_and_back

__all__ = [
    "AgreementAfter",
    "accuracy_drop",
    "cast_to_bfloat16",
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
