use super::*;
use crate::{args::test_args, network::find_anvil};

const CHAIN: ChainId = ChainId(77);

/// A session of small runs with its folder, and transactions signed for it.
async fn small() -> (Session, tempfile::TempDir, Arc<Workload>) {
    let out = tempfile::tempdir().unwrap();
    let args = BenchArgs {
        out: out.path().to_owned(),
        accounts: 20,
        window: 200,
        batch: 20,
        rate_max: 1_000,
        seconds: Some(4),
        ..test_args(true)
    };
    let session = Session {
        plan: Plan::of(&args),
        args,
        binary: PathBuf::new(),
        anvil: None,
        hardhat: None,
        progress: Progress::new(),
    };
    let spec = Spec {
        kind: Kind::Ethereum,
        suite: Suite::Intl,
        chain: CHAIN,
        seed: 5,
        accounts: 20,
        each: 400,
        token: setup::token_address(session.args.seed).unwrap(),
    };
    let workload = Workload::sign(spec, &session.progress).await.unwrap();
    (session, out, workload)
}

fn check(made: &LoadReport, out: &Path) {
    // A window of 200 and a block per second: about 200 a second, never more than twice that.
    assert!(
        made.steady.tps > 20.0 && made.steady.tps < 400.0,
        "{}",
        made.steady.tps
    );
    assert_eq!(made.checked.in_blocks, made.counters.accepted);
    assert_eq!(made.checked.balances, 20);
    assert!(made.checked.receipts > 0 && made.cpu_us_per_transaction > 0.0);
    assert_eq!(
        std::fs::read_dir(out).unwrap().count(),
        0,
        "data is left behind"
    );
}

/// The whole path of a throughput run (signing, window, blocks, receipts, balances) against a real
/// node. Without anvil on this machine there is nothing to run against.
#[tokio::test]
async fn the_generator_measures_and_verifies_a_real_node() {
    let Some(program) = find_anvil("auto", Path::new("")).unwrap() else {
        eprintln!("anvil is not installed; `make clients-setup` installs it");
        return;
    };
    let (session, out, workload) = small().await;
    let made = session.anvil_run(&program, CHAIN, &workload).await.unwrap();
    check(&made, out.path());
}

/// The same against Hardhat's node, where `make peers-setup` has installed it.
#[tokio::test]
async fn the_generator_measures_and_verifies_the_node_of_hardhat() {
    let Ok(program) = hardhat::Program::find("auto", Path::new("")) else {
        eprintln!("Hardhat is not installed; `make peers-setup` installs it");
        return;
    };
    assert!(
        !program.version().contains("unknown"),
        "{}",
        program.version()
    );
    let (session, out, workload) = small().await;
    let made = session
        .hardhat_run(&program, CHAIN, &workload)
        .await
        .unwrap();
    check(&made, out.path());
}
