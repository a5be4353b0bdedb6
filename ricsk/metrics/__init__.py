"""How close two images are, and what an encryption costs and hides."""

from ricsk._publish import publish
from ricsk.metrics._perceptual import lpips, perceptual_distance
from ricsk.metrics._scorers import (
    accuracy_drop,
    encryption_scores,
    noise_likeness_score,
    prediction_agreement,
    recovery_psnr,
)
from ricsk.metrics._similarity import correlation, psnr, ssim

__all__ = [
    "accuracy_drop",
    "correlation",
    "encryption_scores",
    "lpips",
    "noise_likeness_score",
    "perceptual_distance",
    "prediction_agreement",
    "psnr",
    "recovery_psnr",
    "ssim",
]

publish(globals())
