//! What is shipped to run the node with: the unit, the container image, the manifests. They are checked for what they
//! must have, against the program's own flags and keys; nothing is fetched and nothing is started.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::Hawser;
use hawser_node::config::KEYS;
use yaml_rust2::{Yaml, YamlLoader};

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("deploy").join(name)).unwrap()
}

fn manifests() -> Vec<Yaml> {
    YamlLoader::load_from_str(&read("kubernetes/hawser.yaml")).unwrap()
}

fn of_kind(kind: &str) -> Yaml {
    let mut all: Vec<_> = manifests()
        .into_iter()
        .filter(|one| one["kind"].as_str() == Some(kind))
        .collect();
    assert_eq!(all.len(), 1, "{kind}");
    all.remove(0)
}

fn words(yaml: &Yaml) -> Vec<&str> {
    let items = yaml.as_vec().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

/// That the program knows these arguments: it gets as far as the configuration, which is not there.
fn accepted(arguments: &[&str]) {
    let run = Hawser::new().run(arguments);
    assert_eq!(run.code, 3, "{}", run.text);
}

/// Names of variables that carry a key's value, and the one that names the passphrase's file.
fn known_variable(name: &str) -> bool {
    name == "HAWSER_PASSPHRASE_FILE" || KEYS.iter().any(|key| key.variable() == name)
}

#[test]
fn every_object_is_whole_and_named() {
    let all = manifests();
    let kinds: Vec<_> = all
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "ServiceAccount",
            "Service",
            "Service",
            "PodDisruptionBudget",
            "NetworkPolicy",
            "StatefulSet"
        ],
        "no Secret is shipped"
    );
    for one in &all {
        assert!(one["apiVersion"].as_str().is_some());
        assert!(
            one["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with("hawser")
        );
    }
    let account = of_kind("ServiceAccount");
    assert_eq!(
        account["automountServiceAccountToken"].as_bool(),
        Some(false)
    );
}

#[test]
fn a_validator_runs_once_on_its_own_volume() {
    let set = of_kind("StatefulSet");
    let spec = &set["spec"];
    assert_eq!(spec["replicas"].as_i64(), Some(1));
    let service = spec["serviceName"].as_str().unwrap();
    let headless = manifests()
        .into_iter()
        .find(|one| {
            one["kind"].as_str() == Some("Service")
                && one["metadata"]["name"].as_str() == Some(service)
        })
        .unwrap();
    assert_eq!(headless["spec"]["clusterIP"].as_str(), Some("None"));
    assert_eq!(
        headless["spec"]["publishNotReadyAddresses"].as_bool(),
        Some(true),
        "peers have to reach a node that is not ready yet"
    );
    let pod = &spec["template"];
    assert_eq!(spec["selector"]["matchLabels"], pod["metadata"]["labels"]);
    let claims = spec["volumeClaimTemplates"].as_vec().unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(
        words(&claims[0]["spec"]["accessModes"]),
        ["ReadWriteOncePod"]
    );
    assert!(
        claims[0]["spec"]["resources"]["requests"]["storage"]
            .as_str()
            .is_some()
    );
    let grace = pod["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap();
    assert!(grace >= 60, "the same as the unit's TimeoutStopSec");
    // Every mount is of a volume or a claim.
    let container = &pod["spec"]["containers"][0];
    let volumes = pod["spec"]["volumes"].as_vec().unwrap();
    let mut known: Vec<_> = volumes
        .iter()
        .map(|volume| volume["name"].as_str().unwrap())
        .collect();
    known.push(claims[0]["metadata"]["name"].as_str().unwrap());
    for mount in container["volumeMounts"].as_vec().unwrap() {
        let name = mount["name"].as_str().unwrap();
        assert!(known.contains(&name), "{name}");
        let writable = mount["readOnly"].as_bool() != Some(true);
        assert_eq!(writable, name == "data", "{name}");
    }
}

#[test]
fn the_pod_has_no_rights_and_says_how_it_is() {
    let set = of_kind("StatefulSet");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"].as_bool(), Some(true));
    assert!(security["runAsUser"].as_i64().unwrap() > 0);
    assert_eq!(
        security["seccompProfile"]["type"].as_str(),
        Some("RuntimeDefault")
    );
    for more in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[more].is_badvalue(), "{more}");
    }
    let containers = pod["containers"].as_vec().unwrap();
    assert_eq!(containers.len(), 1);
    let container = &containers[0];
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(security["privileged"].as_bool(), Some(false));
    assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"]);
    let ports: BTreeMap<_, _> = container["ports"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|port| {
            (
                port["name"].as_str().unwrap(),
                port["containerPort"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        ports,
        BTreeMap::from([("links", 9545), ("operators", 10545), ("rpc", 8545)])
    );
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["path"].as_str(), Some(path), "{probe}");
        assert_eq!(get["port"].as_str(), Some("operators"), "{probe}");
    }
    assert!(
        container["resources"]["limits"]["memory"]
            .as_str()
            .is_some()
    );
    let image = container["image"].as_str().unwrap();
    assert!(
        image.contains(':') && !image.ends_with(":latest"),
        "{image}"
    );
}

#[test]
fn no_secret_is_in_arguments_or_variables() {
    let set = of_kind("StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    accepted(&words(&container["args"]));
    for variable in container["env"].as_vec().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert!(known_variable(name), "{name}");
        let value = variable["value"]
            .as_str()
            .expect("a plain value, not one from a secret");
        if name == "HAWSER_PASSPHRASE_FILE" {
            assert!(
                value.starts_with("/run/secrets/"),
                "a file, not the passphrase"
            );
        }
    }
    assert!(container["envFrom"].is_badvalue());
    let text =
        read("kubernetes/hawser.yaml") + &read("systemd/hawser.service") + &read("Dockerfile");
    for word in [
        "PRIVATE KEY",
        "--passphrase ",
        "HAWSER_PASSPHRASE=",
        "secretKeyRef",
        "stringData",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}

/// `Key=value` lines of the unit.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read("systemd/hawser.service").lines() {
        if let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            all.entry(key.to_owned())
                .or_default()
                .push(value.to_owned());
        }
    }
    all
}

#[test]
fn the_unit_is_a_sandbox_and_starts_the_program_as_it_is() {
    let unit = unit();
    let one = |key: &str| unit.get(key).map(|values| values.join(" "));
    for (key, value) in [
        ("User", "hawser"),
        ("NoNewPrivileges", "true"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "true"),
        ("PrivateTmp", "true"),
        ("PrivateDevices", "true"),
        ("CapabilityBoundingSet", ""),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("RestrictNamespaces", "true"),
        ("MemoryDenyWriteExecute", "true"),
        ("ProtectKernelModules", "true"),
        ("ProtectKernelTunables", "true"),
        ("ProtectControlGroups", "true"),
        ("LimitCORE", "0"),
        ("UMask", "0077"),
        ("StateDirectory", "hawser"),
        ("TimeoutStopSec", "60"),
    ] {
        assert_eq!(one(key).as_deref(), Some(value), "{key}");
    }
    assert!(one("SystemCallFilter").unwrap().contains("@system-service"));
    let command = one("ExecStart").unwrap();
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/hawser"));
    accepted(&words.collect::<Vec<_>>());
    let variable = one("Environment").unwrap();
    assert!(variable.starts_with("HAWSER_PASSPHRASE_FILE=%d/passphrase"));
    assert!(one("LoadCredential").unwrap().starts_with("passphrase:/"));
}

#[test]
fn what_a_node_writes_goes_where_it_may_write() {
    const STATE: &str = "/var/lib/hawser";
    let pid = format!("HAWSER_NODE_PID_FILE={STATE}/hawser.pid");
    assert!(known_variable("HAWSER_NODE_PID_FILE") && known_variable("HAWSER_NODE_DATA_DIR"));
    assert!(unit()["Environment"].contains(&pid));
    let image = read("Dockerfile");
    let set = format!("ENV HAWSER_NODE_DATA_DIR={STATE} {pid}");
    assert!(image.lines().any(|line| line == set));
    let set = of_kind("StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let variables: BTreeMap<_, _> = container["env"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["value"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(variables["HAWSER_NODE_DATA_DIR"], STATE);
    assert!(variables["HAWSER_NODE_PID_FILE"].starts_with(STATE));
    let data = container["volumeMounts"].as_vec().unwrap();
    let data = data
        .iter()
        .find(|mount| mount["name"].as_str() == Some("data"));
    assert_eq!(data.unwrap()["mountPath"].as_str(), Some(STATE));
}

/// The steps of the guides, on the files that `init` writes: the group of the service can read all of them.
#[test]
fn the_steps_of_the_guides_let_the_service_read_its_keys_and_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    const STEP: &str = "chmod -R u=rwX,g=rX,o= ";
    let guides = ["operations.md", "operations.zh-CN.md"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
        std::fs::read_to_string(path.join(name)).unwrap()
    });
    for guide in guides {
        assert!(guide.contains(&format!("{STEP}/etc/hawser")));
    }
    let hawser = Hawser::new();
    hawser.ok(&["init", "--dir", "net", "--nodes", "1"]);
    let run = Command::new("sh")
        .args(["-c", &format!("{STEP}net/node0")])
        .current_dir(hawser.path("."))
        .status();
    assert!(run.unwrap().success());
    let mode = |name: &str| {
        let metadata = std::fs::metadata(hawser.path("net/node0").join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("keys"), 0o750);
    for name in [
        "keys/identity.pem",
        "keys/vote.pem",
        "node.toml",
        "genesis.json",
    ] {
        assert_eq!(mode(name), 0o640, "{name}");
    }
}

/// What systemd itself says, where it is at hand.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/hawser.service");
    let run = |arguments: &[&str]| {
        let run = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&file)
            .output();
        run.ok().map(|output| {
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        })
    };
    let Some(verified) = run(&["verify"]) else {
        eprintln!("NOT CHECKED: systemd-analyze is not installed");
        return;
    };
    let complaints: Vec<_> = verified
        .lines()
        .filter(|line| line.contains("hawser.service") && !line.contains("is not executable"))
        .collect();
    assert!(complaints.is_empty(), "{verified}");
    let security = run(&["security", "--offline=true"]).unwrap();
    let Some((_, level)) = security.split_once("Overall exposure level for hawser.service: ")
    else {
        eprintln!("NOT CHECKED: this systemd does not judge units that are not loaded");
        return;
    };
    let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
    assert!(level < 2.0, "{security}");
}

#[test]
fn the_image_is_built_in_stages_and_runs_without_rights() {
    let text = read("Dockerfile");
    let stages: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("FROM "))
        .collect();
    assert_eq!(stages.len(), 3);
    for stage in &stages {
        let image = stage.split(' ').nth(1).unwrap();
        assert!(
            image.contains(':') && !image.ends_with(":latest"),
            "{image}"
        );
    }
    let (_, last) = text.rsplit_once("FROM ").unwrap();
    let user = last
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .unwrap();
    assert!(!user.starts_with('0') && !user.contains("root"), "{user}");
    assert!(!last.contains("COPY . ") && last.contains("COPY --from=build"));
    assert!(text.contains("cargo build --release --locked") && text.contains("npm ci"));
    assert!(text.contains("JEMALLOC_SYS_WITH_LG_PAGE=16"), "ADR 0015");
    for fetch in ["curl ", "wget ", "ADD ", "git clone"] {
        assert!(!text.contains(fetch), "{fetch}");
    }
    let command = last
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    accepted(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let ignored = read("Dockerfile.dockerignore");
    for secret in [".hawser", "**/*.pem", "**/*.key", "**/passphrase*", ".git"] {
        assert!(ignored.lines().any(|line| line == secret), "{secret}");
    }
}
