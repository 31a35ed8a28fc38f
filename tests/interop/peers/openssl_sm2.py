"""Judges SM2 signatures with OpenSSL's library and compares with what hawser-sm-fast said.

The file has a line for each: x || y, e, r || s (all hexadecimal) and 1 or 0.

    HAWSER_SM2_CASES=cases.txt cargo test --release -p hawser-sm-fast --lib writes_cases -- --ignored
    python3 tests/interop/peers/openssl_sm2.py cases.txt
"""

import ctypes
import ctypes.util
import sys

crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
pointer = ctypes.c_void_p
crypto.d2i_PUBKEY.restype = pointer
crypto.d2i_PUBKEY.argtypes = [pointer, ctypes.POINTER(ctypes.c_char_p), ctypes.c_long]
crypto.EVP_PKEY_CTX_new.restype = pointer
crypto.EVP_PKEY_CTX_new.argtypes = [pointer, pointer]
crypto.EVP_PKEY_verify_init.argtypes = [pointer]
crypto.EVP_PKEY_verify.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
crypto.EVP_PKEY_CTX_free.argtypes = [pointer]
crypto.EVP_PKEY_free.argtypes = [pointer]
crypto.ERR_clear_error.argtypes = []

# SubjectPublicKeyInfo of a key on the SM2 curve, up to the point (RFC 5480, GM/T 0006).
PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


def integer(number: bytes) -> bytes:
    number = number.lstrip(b"\0") or b"\0"
    if number[0] & 0x80:
        number = b"\0" + number
    return b"\x02" + bytes([len(number)]) + number


def main(path: str) -> int:
    seen = [0, 0]
    name, context, key = None, None, None
    for line in open(path):
        xy, e, signature, said = line.split()
        if xy != name:
            if context:
                crypto.EVP_PKEY_CTX_free(context)
                crypto.EVP_PKEY_free(key)
            der = PREFIX + bytes.fromhex(xy)
            text = ctypes.c_char_p(der)
            key = crypto.d2i_PUBKEY(None, ctypes.byref(text), len(der))
            assert key, "OpenSSL takes the key"
            context = crypto.EVP_PKEY_CTX_new(key, None)
            assert crypto.EVP_PKEY_verify_init(context) == 1
            name = xy
        raw, digest = bytes.fromhex(signature), bytes.fromhex(e)
        body = integer(raw[:32]) + integer(raw[32:])
        der = b"\x30" + bytes([len(body)]) + body
        good = crypto.EVP_PKEY_verify(context, der, len(der), digest, len(digest)) == 1
        crypto.ERR_clear_error()
        if good != (said == "1"):
            print(f"OpenSSL says {good}: {line}")
            return 1
        seen[good] += 1
    print(f"OpenSSL agrees: {seen[1]} accepted, {seen[0]} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
