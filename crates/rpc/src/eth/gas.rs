//! Prices, which are zero, and what clients compute from them.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::U64;
use serde_json::json as object;

use super::known_block;
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// Most percentiles in one `eth_feeHistory`.
const PERCENTILES_MAX: usize = 100;

/// `eth_feeHistory`: nobody pays, so all prices are zero; the ratios of gas used are real.
pub(crate) async fn fee_history(cx: &Context, mut params: Params) -> Answer {
    let count: U64 = params.required("block count")?;
    let newest: BlockNumberOrTag = params.required("newest block")?;
    let percentiles: Vec<f64> = params.optional("reward percentiles")?.unwrap_or_default();
    params.end()?;
    let limit = cx.limits().fee_history_max;
    if percentiles.len() > PERCENTILES_MAX {
        let text = format!(
            "{} percentiles exceed the limit of {PERCENTILES_MAX}",
            percentiles.len()
        );
        return Err(ErrorObject::invalid_params(text));
    }
    let in_range = percentiles
        .iter()
        .all(|share| (0.0..=100.0).contains(share));
    if !in_range || !percentiles.is_sorted() {
        let text = "reward percentiles must ascend within 0 to 100";
        return Err(ErrorObject::invalid_params(text));
    }
    cx.read(move |store| {
        let newest = known_block(store, Some(newest.into()))?.id().height;
        let count = count.to::<u64>().min(limit).min(newest.0.saturating_add(1));
        let oldest = newest.0.saturating_add(1).saturating_sub(count);
        if count == 0 {
            return json(&object!({ "oldestBlock": "0x0", "gasUsedRatio": null }));
        }
        let mut ratios = Vec::new();
        for height in oldest..=newest.0 {
            let block = store.block(hawser_primitives::Height(height))?;
            let (used, gas_max) = block.map_or((0, 1), |block| {
                let gas_max = block.settings.parameters.block_gas_max;
                (block.result.gas_used, gas_max.max(1))
            });
            // A share for display; nothing depends on its last digit.
            #[allow(clippy::cast_precision_loss)]
            ratios.push(used as f64 / gas_max as f64);
        }
        let zeros = vec!["0x0"; ratios.len().saturating_add(1)];
        let ones = vec!["0x1"; ratios.len().saturating_add(1)];
        let mut history = object!({
            "oldestBlock": view::quantity(oldest),
            "baseFeePerGas": zeros,
            "gasUsedRatio": ratios,
            "baseFeePerBlobGas": ones,
            "blobGasUsedRatio": vec![0.0; ratios.len()],
        });
        if !percentiles.is_empty()
            && let Some(fields) = history.as_object_mut()
        {
            let row = vec!["0x0"; percentiles.len()];
            fields.insert("reward".to_owned(), object!(vec![row; ratios.len()]));
        }
        json(&history)
    })
    .await
}
