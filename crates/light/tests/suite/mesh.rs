//! Light nodes beside full ones, honest and lying, over real sockets.

use std::time::Duration;

use crate::common::{CHAIN, Mesh, TARGET, change, transfer, until};
use hawser_crypto::Suite;
use hawser_ledger::state::{Account, StateKey, StateProof};
use hawser_light::{LightHandle, ReadError};
use hawser_network::NetworkEvent;
use hawser_node::{
    chain::ChainHandle,
    light::{
        LIGHT_HEADERS_MAX, LIGHT_KEYS_MAX, LightAnswer, LightAsk, LightReads, LightRefusal,
        LightReply,
    },
    replica::{PeerMessage, Relayed},
};
use hawser_primitives::{Address, B256, Bytes, Height, U256, decode_exact, encode};

async fn balance(light: &LightHandle, of: Address) -> Result<(Height, U256), ReadError> {
    let proved = light.state(None, &[StateKey::Account(of)]).await?;
    let account = match &proved.values[0] {
        Some(value) => Account::decode(value).unwrap(),
        None => Account::default(),
    };
    Ok((proved.height, account.balance()))
}

fn settled(chain: &ChainHandle, hash: &B256) -> bool {
    let at = chain.store().position(hash).unwrap();
    at.is_some_and(|at| chain.store().certified_state_height() >= at.height)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_light_node_follows_a_changing_committee_and_resumes_after_a_restart() {
    for suite in [Suite::Intl, Suite::Sm] {
        // Four validators, one more full node, and a light one that two of them know.
        let mesh = Mesh::new(4, 6, suite);
        let mut running = Vec::new();
        for i in 0..5 {
            let peers = mesh.peers(&[0, 1, 2, 3, 4], if i < 2 { &[5] } else { &[] });
            running.push(mesh.start(i, &peers, LightReads::Open).await);
        }
        let chain = running[1].1.clone();
        let light = mesh.light(5, &[0, 1]).await;
        let handle = light.handle().clone();
        let raw = transfer(0);
        until("a peer is connected", || !handle.status().peers.is_empty()).await;
        // A chain without a block has the state of its genesis.
        let nothing = balance(&handle, TARGET).await.unwrap();
        assert_eq!(nothing, (Height::GENESIS, U256::ZERO));
        // Sent by the light node itself.
        let hash = handle.submit(raw).await.unwrap();
        let none = handle.submit(Bytes::from(vec![1])).await.unwrap_err();
        assert!(matches!(none, ReadError::Transaction(_)), "{none}");
        until("it is settled", || settled(&chain, &hash)).await;
        let at = chain.store().position(&hash).unwrap().unwrap().height;
        until("the light node has settled it", || handle.settled() >= at).await;
        assert_eq!(balance(&handle, TARGET).await.unwrap().1, U256::from(1));
        // Whole blocks, transactions and receipts are the same as a full node's.
        let block = handle.block(at).await.unwrap();
        let full = chain.store().block(at).unwrap().unwrap();
        assert_eq!((block.hash, &block.block), (full.hash, &full.block));
        assert_eq!(block.result, full.result);
        assert_eq!(block.settings, full.settings);
        let found = handle.block_with(hash).await.unwrap().unwrap();
        assert_eq!(found.hash, full.hash);
        assert!(handle.block_with(B256::ZERO).await.unwrap().is_none());
        assert_eq!(handle.height_of(full.hash).await.unwrap(), Some(at));
        assert_eq!(handle.height_of(B256::ZERO).await.unwrap(), None);
        let genesis = chain.store().block(Height(0)).unwrap().unwrap();
        let header = handle.header(Height(0)).unwrap().unwrap();
        assert_eq!(header, genesis.block.header);

        // The committee changes: node 4 for node 0.
        let new: Vec<_> = (1..5).map(|i| mesh.members[i].validator(i)).collect();
        chain.submit(change(1, &new)).await.unwrap();
        until("the change is in force", || {
            chain.store().head().settings.validators == new
        })
        .await;
        let last = chain.submit(transfer(2)).await.unwrap();
        until("a block of the new committee is settled", || {
            settled(&chain, &last)
        })
        .await;
        let height = chain.store().stored_height();
        until("the light node has it", || handle.status().height >= height).await;
        assert_eq!(balance(&handle, TARGET).await.unwrap().1, U256::from(2));
        let at = handle.settled();
        assert_eq!(handle.settings(at).await.unwrap().validators, new);
        assert!(handle.status().ready, "{:?}", handle.status());
        assert!(handle.status().dropped.is_empty());
        // Full nodes do not count it as a peer of the chain.
        let status = chain.status().await.unwrap();
        assert_eq!(status.peers.len(), 4);

        // Restarted, it goes on where it was, without a peer and then with one.
        drop(handle);
        light.stop().await.unwrap();
        let light = mesh.light(5, &[]).await;
        let handle = light.handle().clone();
        let tip = handle.status();
        assert_eq!((tip.height >= height, tip.ready), (true, false));
        assert!(matches!(
            balance(&handle, TARGET).await,
            Err(ReadError::NoPeers)
        ));
        handle.admitter().set(&mesh.peers(&[0, 1], &[])).unwrap();
        let hash = chain.submit(transfer(3)).await.unwrap();
        until("settled", || settled(&chain, &hash)).await;
        let height = chain.store().stored_height();
        until("it follows", || handle.status().height >= height).await;
        assert_eq!(balance(&handle, TARGET).await.unwrap().1, U256::from(3));
        drop((chain, handle));
        light.stop().await.unwrap();
        for (node, chain) in running {
            drop(chain);
            node.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_proves_something_else_is_dropped_and_the_answer_comes_from_another() {
    let mesh = Mesh::new(1, 3, Suite::Intl);
    let peers = mesh.peers(&[], &[2]);
    let (node, chain) = mesh.start(0, &peers, LightReads::Open).await;
    // It answers requests for state with the absence of everything, and knows no headers.
    let mut liar = mesh.stranger(1, &[2]).await;
    let lying = tokio::spawn(async move {
        while let Some(event) = liar.events.recv().await {
            let NetworkEvent::Message { from, bytes, .. } = event else {
                continue;
            };
            let Ok(PeerMessage::LightRequest(request)) = decode_exact(&bytes, 1 << 20) else {
                continue;
            };
            let reply = match request.ask {
                LightAsk::Headers { .. } => LightReply::Headers(Vec::new()),
                LightAsk::State { keys, .. } => LightReply::State {
                    height: Height(1),
                    proofs: keys
                        .iter()
                        .map(|_| StateProof::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap())
                        .collect(),
                },
                _ => LightReply::Found(Some(Height(1))),
            };
            let answer = LightAnswer {
                id: request.id,
                head: Height(1),
                reply,
            };
            liar.send(from, encode(&PeerMessage::LightAnswer(answer)));
        }
    });
    let light = mesh.light(2, &[0, 1]).await;
    let handle = light.handle().clone();
    let hash = chain.submit(transfer(0)).await.unwrap();
    until("settled", || settled(&chain, &hash)).await;
    let height = chain.store().stored_height();
    until("the light node has it", || handle.status().height >= height).await;
    until("both are connected", || handle.status().peers.len() == 2).await;
    for _ in 0..4 {
        assert_eq!(balance(&handle, TARGET).await.unwrap().1, U256::from(1));
    }
    let dropped = handle.status().dropped;
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].id, mesh.members[1].id());
    assert!(dropped[0].reason.contains("root"), "{}", dropped[0].reason);
    until("its link is closed", || handle.status().peers.len() == 1).await;
    // A lie about where a transaction is finds nothing, and the truth stays provable.
    assert!(handle.block_with(hash).await.unwrap().is_some());
    lying.abort();
    drop((chain, handle));
    light.stop().await.unwrap();
    node.stop().await.unwrap();
}

fn refusal(reply: &LightReply) -> Option<LightRefusal> {
    match reply {
        LightReply::Refused { why, .. } => Some(*why),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_up_to_each_limit_and_refused_beyond() {
    let mesh = Mesh::new(1, 3, Suite::Intl);
    let peers = mesh.peers(&[], &[1]);
    let (node, chain) = mesh.start(0, &peers, LightReads::Open).await;
    let server = mesh.members[0].id();
    let genesis = mesh.genesis.hash();
    let mut peer = mesh.stranger(1, &[0]).await;
    peer.linked().await;
    let hash = chain.submit(transfer(0)).await.unwrap();
    until("settled", || settled(&chain, &hash)).await;
    let headers = |from, count| LightAsk::Headers {
        from: Height(from),
        count,
    };
    let good = peer
        .ask(server, genesis, headers(1, LIGHT_HEADERS_MAX))
        .await;
    assert!(matches!(&good, LightReply::Headers(all) if !all.is_empty()));
    let beyond = peer.ask(server, genesis, headers(1_000, 1)).await;
    assert_eq!(beyond, LightReply::Headers(Vec::new()));
    let key = Bytes::from(StateKey::Account(TARGET).encode());
    let keys = |count: usize| LightAsk::State {
        at: None,
        keys: vec![key.clone(); count],
    };
    let good = peer.ask(server, genesis, keys(LIGHT_KEYS_MAX)).await;
    assert!(matches!(&good, LightReply::State { proofs, .. } if proofs.len() == LIGHT_KEYS_MAX));
    for (ask, why) in [
        (headers(1, LIGHT_HEADERS_MAX + 1), LightRefusal::Malformed),
        (headers(1, 0), LightRefusal::Malformed),
        (headers(0, 1), LightRefusal::Malformed),
        (keys(LIGHT_KEYS_MAX + 1), LightRefusal::Malformed),
        (keys(0), LightRefusal::Malformed),
        (
            LightAsk::State {
                at: None,
                keys: vec![Bytes::from(vec![3])],
            },
            LightRefusal::Malformed,
        ),
        (
            LightAsk::State {
                at: Some(Height(1_000)),
                keys: vec![key.clone()],
            },
            LightRefusal::NotHere,
        ),
        (
            LightAsk::Body {
                height: Height(1_000),
            },
            LightRefusal::NotHere,
        ),
        (
            LightAsk::Receipts {
                height: Height(1_000),
            },
            LightRefusal::NotHere,
        ),
        (
            LightAsk::Content { hash: B256::ZERO },
            LightRefusal::NotHere,
        ),
        (
            LightAsk::Submit { raw: transfer(0) },
            LightRefusal::Transaction,
        ),
        (
            LightAsk::Submit {
                raw: Bytes::from(vec![1]),
            },
            LightRefusal::Transaction,
        ),
    ] {
        let reply = peer.ask(server, genesis, ask.clone()).await;
        assert_eq!(refusal(&reply), Some(why), "{ask:?}: {reply:?}");
    }
    let reply = peer.ask(server, B256::ZERO, headers(1, 1)).await;
    assert_eq!(refusal(&reply), Some(LightRefusal::WrongChain));
    // What is no request is answered by its number, if it has one.
    let mut broken = vec![8u8];
    broken.extend(9u64.to_le_bytes());
    broken.extend([0; 40]);
    for (bytes, id) in [(broken, 9), (vec![8, 1], 0)] {
        peer.send(server, bytes);
        let (answer, _) = peer.answer().await;
        assert_eq!(
            (answer.id, refusal(&answer.reply)),
            (id, Some(LightRefusal::Malformed))
        );
    }
    // A light peer has no other word: its transactions and votes are not heard, and it hears none.
    let gossip = PeerMessage::Transactions(vec![Relayed {
        sender: Address::ZERO,
        raw: transfer(1),
    }]);
    peer.send(server, encode(&gossip));
    let (_, others) = {
        peer.request(server, 1, genesis, headers(1, 1));
        peer.answer().await
    };
    assert_eq!(others, []);
    assert_eq!(chain.pool_counts().await.unwrap().pending, 0);
    // More at once than the burst: some are refused, and a second later it is well again. What a machine that stands
    // still spreads over time was not sent at once.
    let (mut served, mut busy, mut rounds) = (0, 0, 0);
    while busy == 0 {
        rounds += 1;
        assert!(rounds <= 50, "{served} requests and none refused");
        for id in 0..400 {
            peer.request(server, id, genesis, headers(1_000, 1));
        }
        for _ in 0..400 {
            let (answer, _) = peer.answer().await;
            if refusal(&answer.reply) == Some(LightRefusal::Busy) {
                busy += 1;
            } else {
                served += 1;
            }
        }
    }
    assert!(served > 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = peer.ask(server, genesis, headers(1_000, 1)).await;
    assert_eq!(reply, LightReply::Headers(Vec::new()));
    assert_eq!(chain.store().genesis().chain_id, CHAIN);
    drop(chain);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_reads_are_signed_a_link_gives_headers_and_takes_transactions_only() {
    let mesh = Mesh::new(1, 3, Suite::Intl);
    let peers = mesh.peers(&[], &[1, 2]);
    let (node, chain) = mesh.start(0, &peers, LightReads::HeadersOnly).await;
    let (server, genesis) = (mesh.members[0].id(), mesh.genesis.hash());
    let mut peer = mesh.stranger(1, &[0]).await;
    peer.linked().await;
    let light = mesh.light(2, &[0]).await;
    let handle = light.handle().clone();
    until("connected", || !handle.status().peers.is_empty()).await;
    let hash = handle.submit(transfer(0)).await.unwrap();
    until("settled", || settled(&chain, &hash)).await;
    let height = chain.store().stored_height();
    until("the light node has the header", || {
        handle.status().height >= height
    })
    .await;
    let key = Bytes::from(StateKey::Account(TARGET).encode());
    for ask in [
        LightAsk::State {
            at: None,
            keys: vec![key],
        },
        LightAsk::Content { hash },
        LightAsk::Body { height: Height(1) },
        LightAsk::Receipts { height: Height(1) },
        LightAsk::FindTransaction { hash },
        LightAsk::FindBlock { hash },
    ] {
        let reply = peer.ask(server, genesis, ask.clone()).await;
        assert_eq!(refusal(&reply), Some(LightRefusal::SignedReads), "{ask:?}");
    }
    let refused = balance(&handle, TARGET).await.unwrap_err();
    assert!(refused.to_string().contains("hawser proxy"), "{refused}");
    assert!(handle.status().dropped.is_empty());
    drop((chain, handle));
    light.stop().await.unwrap();
    node.stop().await.unwrap();
}
