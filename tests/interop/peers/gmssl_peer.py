"""Answers a JSON list of requests on standard input with PyPI's gmssl."""

import json
import sys

from gmssl import sm2, sm3
from gmssl.sm4 import SM4_DECRYPT, SM4_ENCRYPT, CryptSM4


def key(request):
    return sm2.CryptSM2(
        private_key=request.get("secret", ""),
        # Without the byte 4 that stands for an uncompressed point.
        public_key=request.get("public", "")[2:],
        mode=1 if request.get("c1c3c2") else 0,
        asn1=bool(request.get("der")),
    )


def run_sm4(request):
    data = bytes.fromhex(request["data"])
    cipher = CryptSM4()
    cipher.set_key(bytes.fromhex(request["key"]), SM4_ENCRYPT if request["encrypt"] else SM4_DECRYPT)
    if not request["encrypt"]:
        # It takes padding away: a block of padding that it finds is put behind.
        data += bytes.fromhex(request["padding"])
    if request["mode"] == "cbc":
        out = cipher.crypt_cbc(bytes.fromhex(request["iv"]), data)
    else:
        out = cipher.crypt_ecb(data)
    # It adds a block of padding to whole blocks.
    return out[: len(bytes.fromhex(request["data"]))].hex()


ANSWERS = {
    "name": lambda request: "gmssl",
    "sm3": lambda request: sm3.sm3_hash(list(bytes.fromhex(request["data"]))),
    "sm2_sign": lambda request: key(request).sign_with_sm3(bytes.fromhex(request["data"])),
    "sm2_verify": lambda request: bool(key(request).verify_with_sm3(request["signature"], bytes.fromhex(request["data"]))),
    "sm2_encrypt": lambda request: "04" + key(request).encrypt(bytes.fromhex(request["data"])).hex(),
    "sm2_decrypt": lambda request: key(request).decrypt(bytes.fromhex(request["data"])[1:]).hex(),
    "sm4": run_sm4,
}

print(json.dumps([ANSWERS[request["op"]](request) for request in json.load(sys.stdin)]))
