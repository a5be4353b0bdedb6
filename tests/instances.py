"""One instance of every public estimator, or more where its parameters change what it does.

They are small enough for scikit-learn's checks, which feed anything from 1 to 10 features.
"""

from ricsk import EtCEncryptor, LearnableEncryptor, PixelEncryptor, SecretKey

KEY = SecretKey(bytes(range(32)))

ENCRYPTORS = [
    EtCEncryptor(KEY, block_size=1),
    EtCEncryptor(KEY, block_size=2, pad=True, per_block_keys=False),
    EtCEncryptor(KEY, block_size=1, grayscale=True),
    EtCEncryptor(KEY, block_size=1, variant="fugokidi2023"),
    EtCEncryptor(KEY, block_size=1, variant="madono2020"),
    PixelEncryptor(KEY),
    LearnableEncryptor(KEY, block_size=1),
    LearnableEncryptor(
        KEY,
        block_size=2,
        pad=True,
        per_block_keys=True,
        scramble_blocks=True,
        reversal="independent",
    ),
]
