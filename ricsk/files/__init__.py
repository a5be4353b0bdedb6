"""Files: sealed photographs, and ciphertexts of all schemes with what is public about them.

Names are loaded when they are first used, so that opening a file does not load PyTorch.
"""

from typing import TYPE_CHECKING

from ricsk._publish import load_on_use

if TYPE_CHECKING:
    from ricsk.files._ciphertexts import (
        encode_ciphertexts,
        read_ciphertexts,
        read_header,
        write_ciphertexts,
    )
    from ricsk.files._folder import FileResult, decrypt_folder, encrypt_folder, list_folder
    from ricsk.files._frame import decrypt_frame, encrypt_frame
    from ricsk.files._header import CiphertextHeader
    from ricsk.files._open import OpenedPhotograph, open_photograph
    from ricsk.files._picture import decrypt_picture, encrypt_picture, is_encrypted_picture
    from ricsk.files._rekey import rekey_file, rekey_folder
    from ricsk.files._seal import read_photograph, seal_photograph
    from ricsk.files._survives import Survival, survives

__all__ = [
    "CiphertextHeader",
    "FileResult",
    "OpenedPhotograph",
    "Survival",
    "decrypt_folder",
    "decrypt_frame",
    "decrypt_picture",
    "encode_ciphertexts",
    "encrypt_folder",
    "encrypt_frame",
    "encrypt_picture",
    "is_encrypted_picture",
    "list_folder",
    "open_photograph",
    "read_ciphertexts",
    "read_header",
    "read_photograph",
    "rekey_file",
    "rekey_folder",
    "seal_photograph",
    "survives",
    "write_ciphertexts",
]

_HOMES = {
    "_ciphertexts": ("encode_ciphertexts", "read_ciphertexts", "read_header", "write_ciphertexts"),
    "_folder": ("FileResult", "decrypt_folder", "encrypt_folder", "list_folder"),
    "_frame": ("decrypt_frame", "encrypt_frame"),
    "_header": ("CiphertextHeader",),
    "_open": ("OpenedPhotograph", "open_photograph"),
    "_picture": ("decrypt_picture", "encrypt_picture", "is_encrypted_picture"),
    "_rekey": ("rekey_file", "rekey_folder"),
    "_seal": ("read_photograph", "seal_photograph"),
    "_survives": ("Survival", "survives"),
}

__getattr__, __dir__ = load_on_use(globals(), _HOMES)
