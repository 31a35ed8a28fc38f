"""web3.py against the chain, from accounts that own nothing.

Takes HAWSER_RPC, HAWSER_CHAIN_ID and HAWSER_ARTIFACTS (the file that `node lib/compile.mjs` names) from the environment.
"""

import json
import os
import time
import unittest

from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

RPC = os.environ["HAWSER_RPC"]
CHAIN_ID = int(os.environ["HAWSER_CHAIN_ID"])
ON_ANVIL = os.environ.get("HAWSER_REFERENCE") == "anvil"
WAIT_S = float(os.environ.get("HAWSER_WAIT_MS", "60000")) / 1000

with open(os.environ["HAWSER_ARTIFACTS"], encoding="utf-8") as file:
    CONTRACTS = json.load(file)["contracts"]


def connect():
    """A client with a fresh account of its own, which signs what `transact` sends."""
    w3 = Web3(Web3.HTTPProvider(RPC))
    account = Account.create()
    if ON_ANVIL:
        w3.provider.make_request("anvil_setBalance", [account.address, hex(10**18)])
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    w3.eth.default_account = account.address
    return w3, account


def until(what, probe):
    """Polls until `probe` returns something."""
    end = time.monotonic() + WAIT_S
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {WAIT_S} s in vain for {what}")
        time.sleep(0.1)


class Web3Test(unittest.TestCase):
    def setUp(self):
        self.w3, self.account = connect()

    def mined(self, tx_hash):
        receipt = self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=WAIT_S, poll_latency=0.1)
        self.assertEqual(receipt["status"], 1)
        return receipt

    def deploy(self, name, *args):
        made = CONTRACTS[name]
        factory = self.w3.eth.contract(abi=made["abi"], bytecode=made["bytecode"])
        receipt = self.mined(factory.constructor(*args).transact())
        return self.w3.eth.contract(address=receipt["contractAddress"], abi=made["abi"])

    def test_the_chain_is_reachable_and_named(self):
        self.assertTrue(self.w3.is_connected())
        self.assertEqual(self.w3.eth.chain_id, CHAIN_ID)
        self.assertEqual(self.w3.net.version, str(CHAIN_ID))
        self.assertIn("/", self.w3.client_version)
        self.assertFalse(self.w3.eth.syncing)

    def test_an_erc20_is_deployed_and_moved_with_nothing_but_a_key(self):
        token = self.deploy("Token", "Credit", "CRD", 1000)
        other = Account.create().address
        receipt = self.mined(token.functions.transfer(other, 40).transact())
        self.assertEqual(token.functions.balanceOf(other).call(), 40)
        (event,) = token.events.Transfer().process_receipt(receipt)
        self.assertEqual(event["args"]["value"], 40)
        self.assertEqual(event["args"]["to"], other)
        past = token.events.Transfer().get_logs(from_block=0, argument_filters={"to": other})
        self.assertEqual(len(past), 1)

    def test_a_transaction_built_by_hand_is_accepted(self):
        probe = self.deploy("Probe")
        for kind in ({"gasPrice": self.w3.eth.gas_price}, {}):
            built = probe.functions.store(17).build_transaction(
                {"from": self.account.address, "nonce": self.w3.eth.get_transaction_count(self.account.address), **kind}
            )
            signed = self.account.sign_transaction(built)
            tx_hash = self.w3.eth.send_raw_transaction(signed.raw_transaction)
            self.assertEqual(tx_hash, signed.hash)
            receipt = self.mined(tx_hash)
            self.assertEqual(receipt["type"], 0 if kind else 2)
            back = self.w3.eth.get_transaction(tx_hash)
            self.assertEqual(back["from"], self.account.address)
            self.assertEqual(self.w3.eth.get_block(receipt["blockNumber"])["hash"], receipt["blockHash"])
        self.assertEqual(probe.functions.value().call(), 17)

    def test_an_event_filter_reports_each_event_once(self):
        probe = self.deploy("Probe")
        # A number: "latest" moves on with the blocks that certify the last roots.
        events = probe.events.Stored.create_filter(from_block=self.w3.eth.block_number)
        before = len(events.get_new_entries())
        self.mined(probe.functions.store(3).transact())
        found = until("the event", events.get_new_entries)
        self.assertEqual([event["args"]["value"] for event in found], [3])
        self.assertEqual(events.get_new_entries(), [])
        self.assertEqual(len(events.get_all_entries()), before + 1)
        self.assertTrue(self.w3.eth.uninstall_filter(events.filter_id))

    def test_block_and_pending_filters_report_hashes(self):
        blocks = self.w3.eth.filter("latest")
        pending = self.w3.eth.filter("pending")
        probe = self.deploy("Probe")
        tx_hash = probe.functions.store(1).transact()
        receipt = self.mined(tx_hash)
        seen_blocks, seen_pending = set(), set()
        until("the block", lambda: seen_blocks.update(blocks.get_new_entries()) or receipt["blockHash"] in seen_blocks)
        until("the hash", lambda: seen_pending.update(pending.get_new_entries()) or tx_hash in seen_pending)

    def test_fee_history_has_the_shape_that_clients_expect(self):
        self.deploy("Probe")
        history = self.w3.eth.fee_history(2, "latest", [25, 75])
        self.assertEqual(len(history["gasUsedRatio"]), 2)
        self.assertEqual(len(history["baseFeePerGas"]), 3)
        self.assertEqual([len(row) for row in history["reward"]], [2, 2])
        self.assertEqual(history["oldestBlock"] + 1 <= self.w3.eth.block_number, True)

    @unittest.skipIf(ON_ANVIL, "anvil suggests a tip of 1 gwei")
    def test_every_fee_is_zero(self):
        self.deploy("Probe")
        self.assertEqual(self.w3.eth.gas_price, 0)
        self.assertEqual(self.w3.eth.max_priority_fee, 0)
        history = self.w3.eth.fee_history(2, "latest", [50])
        self.assertEqual(set(history["baseFeePerGas"]), {0})
        self.assertEqual(set(sum(history["reward"], [])), {0})
        self.assertEqual(self.w3.eth.get_balance(self.account.address), 0)

    def test_reverts_are_decoded(self):
        probe = self.deploy("Probe")
        with self.assertRaises(ContractCustomError) as caught:
            probe.functions.fail(8).call()
        expected = probe.encode_abi("fail", [8])
        self.assertNotEqual(caught.exception.data, expected)
        self.assertTrue(caught.exception.data.startswith(Web3.keccak(text="Refused(uint256,string)")[:4].to_0x_hex()))
        with self.assertRaisesRegex(ContractLogicError, "plain words"):
            probe.functions.failWithText().call()
        with self.assertRaises(ContractCustomError):
            probe.functions.fail(8).estimate_gas()

    def test_what_is_unknown_is_said_to_be_unknown(self):
        with self.assertRaises(TransactionNotFound):
            self.w3.eth.get_transaction_receipt(b"\xab" * 32)
        answer = self.w3.provider.make_request("hawser_noSuchMethod", [])
        self.assertEqual(answer["error"]["code"], -32601)

    @unittest.skipIf(ON_ANVIL, "anvil refuses the storage key 0x0 that web3.py sends and Ethereum nodes take")
    def test_storage_code_and_proof_agree(self):
        probe = self.deploy("Probe")
        self.mined(probe.functions.store(5).transact())
        slot = self.w3.eth.get_storage_at(probe.address, 0)
        self.assertEqual(int.from_bytes(slot, "big"), 5)
        proof = self.w3.eth.get_proof(probe.address, [0], "latest")
        self.assertEqual(proof["codeHash"], Web3.keccak(self.w3.eth.get_code(probe.address)))
        self.assertEqual(int.from_bytes(proof["storageProof"][0]["value"], "big"), 5)

    def test_a_used_nonce_is_refused(self):
        self.deploy("Probe")
        stale = self.account.sign_transaction(
            {"chainId": CHAIN_ID, "nonce": 0, "to": self.account.address, "value": 0, "gas": 21000,
             "maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 0}
        )
        with self.assertRaisesRegex((Web3RPCError, ValueError), "(?i)nonce too low"):
            self.w3.eth.send_raw_transaction(stale.raw_transaction)


if __name__ == "__main__":
    unittest.main(verbosity=2)
