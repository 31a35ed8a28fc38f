//! How long a handshake takes. Run with
//! `cargo test --release -p hawser-network --lib handshake_times -- --ignored --nocapture`.

use hawser_crypto::keystore::Params;
use hawser_pki::{
    Algorithm, Authority, Moment, PrivateKey, Profile, Request, Subject, Template, write_atomic,
};
use tokio::net::TcpListener;

use super::*;
use crate::{CertificateFiles, NodeCertificate, NodeIdentity};

const ROUNDS: u32 = 500;

fn certificate(dir: &std::path::Path, authority: &mut Authority, name: &str) -> Credential {
    let algorithm = authority.certificate().public_key().algorithm();
    let key = PrivateKey::generate(algorithm).unwrap();
    let subject = Subject::new(name, "Harbour");
    let template = Template {
        subject: subject.clone(),
        profile: Profile::Node,
        names: Vec::new(),
        days: 1,
        path_len: None,
    };
    let request = Request::new(&subject, &[], &key).unwrap();
    let issued = authority.issue(&request, &template, Moment::now()).unwrap();
    let chain = dir.join(format!("{name}.pem"));
    write_atomic(&chain, &issued.to_pem(), false).unwrap();
    std::fs::create_dir_all(dir.join("trust/roots")).unwrap();
    let root = dir.join("trust/roots/a.pem");
    write_atomic(&root, &authority.root().to_pem(), false).unwrap();
    let files = CertificateFiles {
        chain,
        trust: dir.join("trust"),
        crl_required: false,
    };
    NodeCertificate::open(key, files).unwrap().into()
}

/// Processor time of this process so far, in microseconds: others may be using the machine.
fn cpu_us() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks = || times.next().unwrap().parse::<u128>().unwrap();
    (ticks() + ticks()) * 10_000
}

async fn time(server: &Credential, client: &Credential) -> u128 {
    let admission = Arc::new(Admission::default());
    admission.replace(BTreeSet::from([client.peer_id()]));
    let (serving, dialling) = (
        Tls::new(server, Arc::clone(&admission)).unwrap(),
        Tls::new(client, admission).unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut started = 0;
    for round in 0..ROUNDS + 20 {
        if round == 20 {
            started = cpu_us();
        }
        let dial = async {
            let tcp = TcpStream::connect(at).await.unwrap();
            dialling.connect(tcp, server.peer_id()).await.unwrap()
        };
        let answer = async {
            let (tcp, _) = listener.accept().await.unwrap();
            serving.accept(tcp).await.unwrap()
        };
        let (_client, (id, _server)) = tokio::join!(dial, answer);
        assert_eq!(id, client.peer_id());
    }
    (cpu_us() - started) / u128::from(ROUNDS)
}

#[tokio::test]
#[ignore = "a measurement"]
async fn handshake_times() {
    let (one, two) = (
        NodeIdentity::generate().unwrap().into(),
        NodeIdentity::generate().unwrap().into(),
    );
    println!(
        "raw Ed25519 keys: {} us of processor time for both ends",
        time(&one, &two).await
    );
    for algorithm in Algorithm::ALL {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let subject = Subject::new("authority", "Harbour");
        let mut authority = Authority::create(
            dir.path(),
            subject,
            algorithm,
            9,
            "passphrase",
            &Params::light(),
            Moment::now(),
        )
        .unwrap();
        let one = certificate(files.path(), &mut authority, "one");
        let two = certificate(files.path(), &mut authority, "two");
        println!(
            "certificates, {algorithm}: {} us of processor time for both ends",
            time(&one, &two).await
        );
    }
}
