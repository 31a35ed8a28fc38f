//! After all parts: blocks, receipts and state have to tell the story of what was sent.

use std::collections::BTreeMap;

use hawser_primitives::{B256, Bytes, U256};
use serde_json::json;

use super::{model::Checked, stage::Stage};
use crate::{
    compare::verify,
    error::{BenchError, Result},
    probe::Probes,
    rpc::{Client, succeeded},
    work::{Expectation, Question},
};

/// Compares everything; how much was compared.
pub(crate) async fn check(stage: &Stage<'_>, probes: &Probes) -> Result<Checked> {
    let clients = Client::all(&stage.bed.urls)?;
    verify::same_head(&clients).await?;
    let found: BTreeMap<B256, u64> = stage.foreign.iter().map(|(h, n)| (*h, *n)).collect();
    if stage.bed.network.is_some() {
        verify::compare(&[], &found, probes)?;
    } else {
        // Others may be at work on a running network.
        verify::probes(&found, probes)?;
    }
    receipts(&clients, &stage.sample).await?;
    let expected = stage
        .signing
        .workload
        .expected(&stage.signing.scene, &stage.done());
    let mut answers = 0;
    for client in &clients {
        answers += state(client, &expected).await?;
    }
    Ok(Checked {
        in_blocks: stage.done().order.len() as u64,
        receipts: stage.sample.len() as u64,
        answers,
    })
}

async fn receipts(clients: &[Client], sample: &[B256]) -> Result<()> {
    for (i, client) in clients.iter().enumerate() {
        let part: Vec<_> = sample.iter().skip(i).step_by(clients.len()).collect();
        let params = part.iter().map(|hash| json!([hash])).collect();
        let receipts = client.call_all("eth_getTransactionReceipt", params).await?;
        let failed = part
            .iter()
            .zip(&receipts)
            .find(|(_, receipt)| !succeeded(receipt));
        if let Some((hash, receipt)) = failed {
            let shown: String = receipt.to_string().chars().take(300).collect();
            let url = client.url();
            return Err(BenchError::Void(format!(
                "{url}: the receipt of {hash} is {shown}"
            )));
        }
    }
    Ok(())
}

/// Asks a node everything.
async fn state(client: &Client, expected: &[Expectation]) -> Result<u64> {
    let (mut calls, mut balances) = (Vec::new(), Vec::new());
    for one in expected {
        match &one.question {
            Question::Call(to, data) => {
                calls.push((one, json!([{ "to": to, "data": data }, "latest"])));
            }
            Question::Balance(address) => balances.push((one, json!([address, "latest"]))),
        }
    }
    for (method, asked) in [("eth_call", calls), ("eth_getBalance", balances)] {
        for chunk in asked.chunks(100) {
            let params = chunk.iter().map(|(_, params)| params.clone()).collect();
            let answers = client.call_all(method, params).await?;
            for ((one, _), answer) in chunk.iter().zip(answers) {
                let answer = match one.question {
                    Question::Call(..) => serde_json::from_value::<Bytes>(answer)?,
                    Question::Balance(_) => {
                        let wei: U256 = serde_json::from_value(answer)?;
                        wei.to_be_bytes::<32>().to_vec().into()
                    }
                };
                compare(client.url(), one, &answer)?;
            }
        }
    }
    Ok(expected.len() as u64)
}

fn compare(url: &str, expected: &Expectation, answer: &Bytes) -> Result<()> {
    if *answer == expected.answer {
        return Ok(());
    }
    let shown = |bytes: &Bytes| hex::encode(bytes.get(..64).unwrap_or(bytes));
    Err(BenchError::Void(format!(
        "{url}: {} is 0x{}, the transactions add up to 0x{}",
        expected.what,
        shown(answer),
        shown(&expected.answer)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_primitives::Address;

    #[test]
    fn a_state_that_does_not_follow_from_the_transactions_voids_the_run() {
        let expected = Expectation {
            what: "the balance".to_owned(),
            question: Question::Balance(Address::ZERO),
            answer: vec![1; 32].into(),
        };
        assert!(compare("node", &expected, &vec![1; 32].into()).is_ok());
        for wrong in [vec![2; 32], vec![1; 31], Vec::new()] {
            let error = compare("node", &expected, &wrong.into()).unwrap_err();
            assert!(matches!(error, BenchError::Void(_)));
            assert!(error.to_string().contains("the balance"), "{error}");
        }
    }
}
