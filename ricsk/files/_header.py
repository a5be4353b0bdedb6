"""What the file of a ciphertext says of itself, in public: scheme, version, settings and key id."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ricsk._secrets import show_object
from ricsk.exceptions import NewerFormatError, WrongKeyError
from ricsk.keys import PrivateKey, SecretKey

__all__ = [
    "MAX_HEADER_BYTES",
    "CiphertextHeader",
    "describe_encryptor",
    "find_scheme",
    "show_key_id",
    "to_json",
]

MAX_HEADER_BYTES = 1 << 14
"""The most bytes of a header."""

_LAYOUT = 1
_ID_DIGITS = 16
_HEXADECIMAL = set("0123456789abcdef")
RECIPIENTS_VERSION = 3
"""The version of sealed images for recipients."""

_A_SECRET_KEY, _PUBLIC_KEYS = "a secret key", "public keys, which private ones open"
# The versions that differ in who opens them, and not in age.
_SEALED_WITH = {
    ("sealed", 2): _A_SECRET_KEY,
    ("sealed", RECIPIENTS_VERSION): _PUBLIC_KEYS,
    ("photograph", 1): _A_SECRET_KEY,
    ("photograph", 2): _PUBLIC_KEYS,
}
_NAMES = {"image_shape", "key_id", "parameters", "ricsk", "scheme", "version"}


@dataclass(frozen=True)
class CiphertextHeader:
    """What the file of a ciphertext says of itself, to everybody who has it.

    Nothing in it is secret, and nobody vouches for it, unless the scheme authenticates it.

    Parameters
    ----------
    scheme : str
        The scheme's name, such as "etc".
    version : int
        The version of its format.
    key_id : str, optional
        The 16 hexadecimal digits with which the id of the key begins. The salt of a passphrase is
        not among them: whoever wants to guess a passphrase needs it.
    image_shape : (int, int, int), optional
        Height, width and channels of the plain image, without padding.
    parameters : dict
        The settings of the scheme that are not secret.
    """

    scheme: str
    version: int
    key_id: str | None = None
    image_shape: tuple[int, int, int] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Write the header as canonical JSON: sorted names, no spaces, ASCII.

        Returns
        -------
        bytes
        """
        return to_json({"ricsk": _LAYOUT, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> CiphertextHeader:
        """Read what `to_bytes` wrote, and nothing else.

        Parameters
        ----------
        data : bytes
            Written by anybody.

        Returns
        -------
        CiphertextHeader

        Raises
        ------
        ValueError
            If it is not canonical, or a value is not of its kind.
        NewerFormatError
            If a newer version of the package wrote it.
        """
        content = _parse(data)
        if content["ricsk"] != _LAYOUT:
            raise NewerFormatError(
                f"the header is of layout {content['ricsk']}; this version of ricsk reads layout "
                f"{_LAYOUT}. Update ricsk."
            )
        if set(content) != _NAMES or not _are_values(content):
            raise ValueError("the header of the file is damaged")
        shape = content["image_shape"]
        return cls(
            content["scheme"],
            content["version"],
            content["key_id"],
            None if shape is None else (shape[0], shape[1], shape[2]),
            content["parameters"],
        )

    def check(self, scheme: str, version: int, key: SecretKey | PrivateKey | None) -> None:
        """Compare with what is to open the file.

        Parameters
        ----------
        scheme : str
            The scheme that reads it.
        version : int
            The version of it.
        key : SecretKey or PrivateKey, optional
            The key, if it has one.

        Raises
        ------
        ValueError
            If it is of another scheme, or of an older version.
        NewerFormatError
            If it is of a newer version.
        WrongKeyError
            If it was encrypted with another key, or with one of another kind.
        """
        if self.scheme != scheme:
            raise ValueError(f"it is of the scheme {self.scheme!r}; expected {scheme!r}")
        made, expected = (_SEALED_WITH.get((scheme, each)) for each in (self.version, version))
        if made and expected and made != expected:
            raise WrongKeyError(f"it was sealed with {made}, and you read with {expected}")
        if self.version > version:
            raise NewerFormatError(
                f"it is of version {self.version} of {scheme!r}; this version of ricsk reads "
                f"version {version}. Update ricsk."
            )
        if self.version < version:
            raise ValueError(
                f"it is of version {self.version} of {scheme!r}, from before; this version of "
                f"ricsk reads version {version}. Open it with the version that wrote it."
            )
        given = show_key_id(key) if isinstance(key, SecretKey) else None
        if self.key_id != given:
            raise WrongKeyError(
                f"encrypted with the key {self.key_id}, you gave {given}. Give the key with that id"
            )


def to_json(content: dict[str, Any]) -> bytes:
    r"""Write canonical JSON: sorted names, no spaces, ASCII.

    Parameters
    ----------
    content : dict
        Of text, whole and finite numbers, booleans, None, lists and dictionaries.

    Returns
    -------
    bytes

    Examples
    --------
    >>> to_json({"b": [1, None], "a": "é"})
    b'{"a":"\\u00e9","b":[1,null]}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def show_key_id(key: SecretKey) -> str:
    """Take the part of a key's id that goes into files.

    Parameters
    ----------
    key : SecretKey
        The key.

    Returns
    -------
    str
    """
    return key.key_id[:_ID_DIGITS]


def describe_encryptor(encryptor: Any) -> CiphertextHeader:
    """Make the header of the ciphertexts of a fitted encryptor.

    Parameters
    ----------
    encryptor : encryptor
        One of this package, fitted.

    Returns
    -------
    CiphertextHeader

    Raises
    ------
    TypeError
        If it is of another class.
    """
    scheme, version, read = _SCHEMES[_find_path(encryptor)]
    key = getattr(encryptor, "key_", None)
    if getattr(encryptor, "recipients_", ()):
        version = RECIPIENTS_VERSION
    return CiphertextHeader(
        scheme,
        version,
        show_key_id(key) if isinstance(key, SecretKey) else None,
        encryptor.image_shape_in_,
        read(encryptor),
    )


def find_scheme(encryptor: Any) -> tuple[str, int]:
    """Say of which scheme and version the files of an encryptor are, which need not be fitted.

    Parameters
    ----------
    encryptor : encryptor
        One of this package.

    Returns
    -------
    scheme : str
    version : int

    Raises
    ------
    TypeError
        If it is of another class.
    """
    scheme, version, _ = _SCHEMES[_find_path(encryptor)]
    return scheme, version


def _find_path(encryptor: Any) -> str:
    paths = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(encryptor).__mro__)
    known = next((path for path in paths if path in _SCHEMES), None)
    if known is None:
        raise TypeError(
            f"{show_object(encryptor)} is not an encryptor whose files are known. Give one of "
            "ricsk's; other ciphertexts can be kept with numpy.save."
        )
    return known


def _read_scheme(encryptor: Any) -> dict[str, Any]:
    options = asdict(encryptor.scheme_)
    del options["image_shape"]
    return options


def _read_attributes(*names: str) -> Callable[[Any], dict[str, Any]]:
    return lambda encryptor: {name: getattr(encryptor, f"{name}_") for name in names}


# By public path, so that no scheme is loaded to tell that an encryptor is not of it.
_SCHEMES: dict[str, tuple[str, int, Callable[[Any], dict[str, Any]]]] = {
    "ricsk.encryptors.EtCEncryptor": ("etc", 2, _read_scheme),
    "ricsk.encryptors.PixelEncryptor": ("pe", 2, _read_scheme),
    "ricsk.encryptors.LearnableEncryptor": ("le", 2, _read_scheme),
    "ricsk.encryptors.SealedEncryptor": (
        "sealed",
        2,
        _read_attributes("appearance", "bit_planes", "codec", "match", "nonce", "scale"),
    ),
    "ricsk.encryptors.RICEncryptor": ("ric", 2, _read_attributes("alpha", "nonce")),
    "ricsk.encryptors.PublishedRICEncryptor": ("ric-published", 1, _read_attributes("alpha")),
    "ricsk.encryptors.TransformationNetworkEncryptor": ("transformation", 1, lambda _: {}),
}


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_HEADER_BYTES:
        raise ValueError("the header of the file is too long")
    try:
        content = json.loads(data)
        canonical = isinstance(content, dict) and to_json(content) == data
    except (ValueError, RecursionError):
        canonical = False
    if not canonical or not _is_count(content.get("ricsk")):
        raise ValueError("the header of the file is damaged")
    return content


def _are_values(content: dict[str, Any]) -> bool:
    key_id, shape = content["key_id"], content["image_shape"]
    return (
        isinstance(content["scheme"], str)
        and _is_count(content["version"])
        and isinstance(content["parameters"], dict)
        and (key_id is None or _is_key_id(key_id))
        and (shape is None or _is_shape(shape))
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def _is_key_id(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) == _ID_DIGITS
        and set(value) <= set("0123456789abcdef")
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_count, value))
