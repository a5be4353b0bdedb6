from tests.keys.reference import RAW, chacha20_block, hkdf


def test_second_implementation_knows_the_rfcs():
    # RFC 5869, test cases 1 and 3
    secret = bytes([0x0B] * 22)
    info, salt = bytes(range(0xF0, 0xFA)), bytes(range(13))
    assert hkdf(secret, info, 42, salt).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert hkdf(secret, b"", 42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    # RFC 8439, section 2.3.2 and appendix A.1, test vector 1
    block = chacha20_block(RAW, 1, bytes.fromhex("000000090000004a00000000"))
    assert block[:16].hex() == "10f1e7e4d13b5915500fdd1fa32071c4"
    assert chacha20_block(bytes(32), 0, bytes(12))[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
