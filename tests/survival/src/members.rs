//! Nodes that join and leave, and validators that change, with the commands that an operator has.

use std::fs;
use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Context, Result, ensure};
use hawser_e2e::hawser;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::bed::Bed;
use crate::run::load_per_processor;

/// How long one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(90);
/// How long a joining node may take to catch up, and a committee to change.
const LIMIT: Duration = Duration::from_secs(90);

async fn command(arguments: &[String]) -> Result<String> {
    let run = hawser(arguments, COMMAND_LIMIT).await?;
    ensure!(
        run.code == Some(0),
        "hawser {}: {}",
        arguments.join(" "),
        run.text()
    );
    Ok(run.stdout)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn config(bed: &Bed, node: u16) -> String {
    let file = bed.folder(node).join("node.toml");
    file.to_string_lossy().into_owned()
}

/// Makes the folder of a node by invitation, and has every validator admit it. Does not start it.
///
/// # Errors
/// When a command refuses.
pub async fn admit(bed: &Bed, slot: u16, role: &str) -> Result<()> {
    let folder = bed.folder(slot);
    let invitation = bed.root().join(format!("invitation-{slot}.json"));
    let _ = fs::remove_file(&invitation);
    let _ = fs::remove_dir_all(&folder);
    let out = invitation.display();
    // Addresses as the nodes themselves know them: proxies stand in between only afterwards.
    let (from, own) = (bed.direct_address(0), bed.direct_address(slot));
    let invite = format!(
        "node invite --config {} --address {from} --role {role} --out {out}",
        config(bed, 0)
    );
    command(&words(&invite)).await?;
    let join = format!(
        "node join {out} --home {} --address {own} --name guest{slot} --passphrase-file {}",
        folder.display(),
        bed.passphrase_file().display()
    );
    command(&words(&join)).await?;
    bed.route_peers(slot)?;
    for node in 0..bed.validators() {
        let admit = format!(
            "node admit --config {} --request {}",
            config(bed, node),
            folder.join("request.json").display()
        );
        command(&words(&admit)).await?;
    }
    Ok(())
}

/// Starts an admitted node and waits until it is where the others are; how long that took.
///
/// # Errors
/// When it does not catch up.
pub async fn follow(bed: &mut Bed, slot: u16) -> Result<Duration> {
    let begin = Instant::now();
    bed.restart(slot).await?;
    let top = bed.top().await;
    let limit = LIMIT.mul_f64(load_per_processor().max(1.0));
    bed.reaches(slot, top, limit).await?;
    Ok(begin.elapsed())
}

/// Stops a guest, has the validators forget it, and removes its folder.
///
/// # Errors
/// When it does not stop, or a command refuses.
pub async fn dismiss(bed: &mut Bed, slot: u16) -> Result<()> {
    if bed.runs(slot) {
        bed.stop(slot).await?;
    }
    for node in 0..bed.validators() {
        let remove = format!("node remove --config {} guest{slot}", config(bed, node));
        // A node that lost its data has forgotten whom it had admitted.
        if let Err(error) = command(&words(&remove)).await
            && !error.to_string().contains("no admitted peer")
        {
            return Err(error);
        }
    }
    fs::remove_dir_all(bed.folder(slot))?;
    Ok(())
}

/// Has a running node make a snapshot beside its chain, and checks it; in words.
///
/// # Errors
/// When a command refuses.
pub async fn snapshot(bed: &Bed, node: u16) -> Result<String> {
    let begin = Instant::now();
    for act in ["create", "verify"] {
        let line = format!(
            "snapshot {act} --config {} --passphrase-file {}",
            config(bed, node),
            bed.passphrase_file().display()
        );
        command(&words(&line)).await?;
    }
    let took = begin.elapsed().as_secs_f64();
    Ok(format!("made and every chunk right after {took:.1} s"))
}

/// All hashes in a text.
fn hashes(text: &str) -> Vec<B256> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 66 && word.starts_with("0x"))
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Runs `hawser gov …` as a governor; what it printed. Its transactions are added to `own`.
async fn govern(bed: &Bed, arguments: &str, from: &str, own: &mut Vec<B256>) -> Result<Value> {
    let whole = format!(
        "gov {arguments} --from {from} --home {} --passphrase-file {} --rpc {} --output json",
        bed.root().join("net").display(),
        bed.passphrase_file().display(),
        bed.url(0)
    );
    let text = command(&words(&whole)).await?;
    own.extend(hashes(&text));
    serde_json::from_str(&text).with_context(|| format!("hawser gov printed {text}"))
}

/// The committee in force, as a proposal names it.
async fn committee(bed: &Bed) -> Result<Vec<Value>> {
    let answer = bed.rpc(0, "hawser_getValidators", json!([])).await?;
    let list = answer
        .get("validators")
        .and_then(Value::as_array)
        .context("no committee")?;
    Ok(list
        .iter()
        .map(|one| {
            json!({ "name": one.get("name"), "public_key": one.get("publicKey"), "weight": one.get("weight") })
        })
        .collect())
}

/// Decides by proposal that the committee is what `change` makes of it, and waits until it is.
async fn decide(
    bed: &Bed,
    own: &mut Vec<B256>,
    change: impl FnOnce(&mut Vec<Value>) -> Result<()>,
) -> Result<Duration> {
    let mut validators = committee(bed).await?;
    change(&mut validators)?;
    let wanted = validators.len();
    let mut text =
        String::from("title = \"committee\"\n[[changes]]\nchange = \"set_validators\"\n");
    for one in &validators {
        let field = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        let weight = one.get("weight").and_then(Value::as_u64).unwrap_or(1);
        text.push_str(&format!(
            "[[changes.validators]]\nname = \"{}\"\npublic_key = \"{}\"\nweight = {weight}\n",
            field("name"),
            field("public_key")
        ));
    }
    let file = bed.root().join("proposal.toml");
    fs::write(&file, text)?;
    let begin = Instant::now();
    let proposed = govern(
        bed,
        &format!("propose {}", file.display()),
        "governor1",
        own,
    )
    .await?;
    let number = ["id", "proposal", "number"]
        .iter()
        .find_map(|name| proposed.get(name).and_then(Value::as_u64))
        .with_context(|| format!("no number in {proposed}"))?;
    for governor in ["governor1", "governor2", "governor3"] {
        // It may have passed before the last vote, or count the proposer's own.
        let voted = govern(bed, &format!("vote {number} yes"), governor, own).await;
        if let Err(error) = voted
            && governor == "governor2"
        {
            return Err(error);
        }
    }
    // The time lock.
    sleep(Duration::from_millis(2_500)).await;
    let _ = govern(bed, &format!("execute {number}"), "governor1", own).await;
    let end = Instant::now() + LIMIT;
    while committee(bed).await?.len() != wanted {
        ensure!(
            Instant::now() < end,
            "the committee has not changed; proposal {number}"
        );
        sleep(Duration::from_millis(200)).await;
    }
    Ok(begin.elapsed())
}

/// Makes a guest that follows a validator.
///
/// # Errors
/// When the proposal fails.
pub async fn promote(bed: &Bed, slot: u16, own: &mut Vec<B256>) -> Result<Duration> {
    let request = fs::read_to_string(bed.folder(slot).join("request.json"))?;
    let request: Value = serde_json::from_str(&request)?;
    let key = request
        .as_object()
        .and_then(|fields| {
            let named = fields.iter().find(|(name, _)| name.contains("vote"));
            named.and_then(|(_, key)| key.as_str())
        })
        .with_context(|| format!("no vote key in {request}"))?
        .to_owned();
    let one = json!({ "name": format!("guest{slot}"), "public_key": key, "weight": 1 });
    decide(bed, own, |validators| {
        validators.push(one);
        Ok(())
    })
    .await
}

/// Takes a guest out of the committee.
///
/// # Errors
/// When the proposal fails.
pub async fn demote(bed: &Bed, slot: u16, own: &mut Vec<B256>) -> Result<Duration> {
    let name = format!("guest{slot}");
    decide(bed, own, |validators| {
        let before = validators.len();
        validators.retain(|one| one.get("name").and_then(Value::as_str) != Some(name.as_str()));
        ensure!(validators.len() + 1 == before, "{name} is no validator");
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_and_other_words_are_not() {
        let one = format!("0x{}", "ab".repeat(32));
        let text = format!(
            "{{\"hash\": \"{one}\", \"account\": \"0x{}\"}}",
            "cd".repeat(20)
        );
        assert_eq!(hashes(&text), [one.parse::<B256>().unwrap()]);
    }
}
