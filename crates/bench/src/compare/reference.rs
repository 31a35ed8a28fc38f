//! Development nodes that get the same transactions as the network: anvil's and Hardhat's.

use std::path::Path;

use hawser_primitives::ChainId;

use super::{
    report::LoadReport,
    session::{Prepared, Session},
    setup, verify,
    workload::Workload,
};
use crate::{
    error::Result,
    hardhat::{self, Hardhat},
    network::Anvil,
    probe::Probes,
};

/// A development node that the same transactions are sent to.
struct Reference<'a> {
    /// What is measured there, in the report.
    workload: &'static str,
    /// Its method that sets a balance.
    fund: &'static str,
    urls: &'a [String],
    pids: Vec<i32>,
}

impl Session {
    /// The ERC-20 run on a fresh anvil, by the same transactions and the same code.
    pub(super) async fn anvil(
        &self,
        chain: ChainId,
        prepared: Option<&Prepared>,
    ) -> Result<Option<LoadReport>> {
        let (Some(program), Some(prepared)) = (&self.anvil, prepared) else {
            return Ok(None);
        };
        self.anvil_run(program, chain, &prepared.ethereum)
            .await
            .map(Some)
    }

    pub(super) async fn anvil_run(
        &self,
        program: &Path,
        chain: ChainId,
        workload: &Workload,
    ) -> Result<LoadReport> {
        let anvil = Anvil::start(program, &self.args.out, chain).await?;
        let reference = Reference {
            workload: "ERC-20 transfers on anvil",
            fund: "anvil_setBalance",
            urls: &anvil.urls,
            pids: anvil.pids(),
        };
        self.reference_run(&reference, chain, workload).await
    }

    /// The ERC-20 run on a fresh node of Hardhat, by the same transactions and the same code.
    pub(super) async fn hardhat(
        &self,
        chain: ChainId,
        prepared: Option<&Prepared>,
    ) -> Result<Option<LoadReport>> {
        let (Some(program), Some(prepared)) = (&self.hardhat, prepared) else {
            return Ok(None);
        };
        self.hardhat_run(program, chain, &prepared.ethereum)
            .await
            .map(Some)
    }

    pub(super) async fn hardhat_run(
        &self,
        program: &hardhat::Program,
        chain: ChainId,
        workload: &Workload,
    ) -> Result<LoadReport> {
        let node = Hardhat::start(program, &self.args.out, chain).await?;
        let reference = Reference {
            workload: "ERC-20 transfers on Hardhat",
            fund: "hardhat_setBalance",
            urls: &node.urls,
            pids: node.pids(),
        };
        self.reference_run(&reference, chain, workload).await
    }

    async fn reference_run(
        &self,
        node: &Reference<'_>,
        chain: ChainId,
        workload: &Workload,
    ) -> Result<LoadReport> {
        let url = node.urls.first().map(String::as_str).unwrap_or_default();
        let seed = self.args.seed;
        setup::fund(url, node.fund, seed, &workload.addresses).await?;
        setup::deploy(url, seed, chain).await?;
        setup::mint(url, seed, chain, &workload.addresses).await?;
        let (load, _) = self.totals();
        let each = load.div_ceil(u64::from(self.args.accounts));
        let drive = self.drive(node.urls, usize::try_from(each).unwrap_or(usize::MAX));
        let none = async { Ok(0) };
        let (mut made, sent) = self.drive_load(&drive, workload, &node.pids, none).await?;
        made.workload = node.workload;
        let before = vec![0; workload.lanes.len()];
        let probes = Probes::default();
        made.checked = verify::verify(node.urls, workload, &before, &sent, &probes).await?;
        let accounts = workload.addresses.len() as u64;
        verify::check_supply(node.urls, workload.spec.token, accounts).await?;
        Ok(made)
    }
}
