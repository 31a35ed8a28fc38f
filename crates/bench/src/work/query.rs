//! Queries, mixed: calls, balances, receipts and blocks in equal parts.

use hawser_primitives::{Address, B256};

use crate::seed::Draws;

/// What is asked about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queries {
    pub(crate) seed: u64,
    pub(crate) addresses: Vec<Address>,
    /// A token with `balanceOf`.
    pub(crate) token: Address,
    /// Executed transactions.
    pub(crate) hashes: Vec<B256>,
    /// Blocks there are.
    pub(crate) height: u64,
}

impl Queries {
    /// The body of a request with this number.
    pub(crate) fn body(&self, number: u64) -> String {
        let mut draws = Draws::new(self.seed, 0, number);
        let kind = draws.below(4);
        let at = usize::try_from(draws.next() >> 16).unwrap_or(0);
        let address = pick(&self.addresses, at);
        let (method, params) = match kind {
            0 => {
                let data = crate::token::balance_of(address);
                let call = format!(r#"{{"to":"{}","data":"{data}"}},"latest""#, self.token);
                ("eth_call", call)
            }
            1 => ("eth_getBalance", format!(r#""{address}","latest""#)),
            2 => {
                let hash = pick(&self.hashes, at);
                ("eth_getTransactionReceipt", format!("\"{hash}\""))
            }
            _ => {
                let block = at as u64 % self.height.saturating_add(1);
                ("eth_getBlockByNumber", format!(r#""{block:#x}",false"#))
            }
        };
        format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":[{params}]}}"#)
    }
}

fn pick<T: Copy + Default>(all: &[T], at: usize) -> T {
    let at = at.checked_rem(all.len()).unwrap_or(0);
    all.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_kind_occurs_and_every_body_is_a_request() {
        let queries = Queries {
            seed: 1,
            addresses: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
            token: Address::repeat_byte(3),
            hashes: vec![B256::repeat_byte(4)],
            height: 9,
        };
        let mut methods = std::collections::BTreeSet::new();
        for number in 0..100 {
            let body = queries.body(number);
            assert_eq!(body, queries.body(number));
            let request: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(request["id"], number);
            methods.insert(request["method"].as_str().unwrap().to_owned());
        }
        assert_eq!(methods.len(), 4);
    }
}
