//! `[session].keys`: the key ring that seals sessions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::entropy::{Entropy, NoEntropy, draw};
use crate::secret::SealingKey;

use super::keys::SESSION_KEY;
use super::secret_file::secret_of;
use super::setting::Setting;

/// More keys than a rotation ever needs.
const MOST_KEYS: usize = 8;
const GENERATE: &str = "make one with `vestibule generate-key`";

/// The key of the documentation: the bytes 0 to 31.
pub const EXAMPLE_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A fresh key as it is written into a key file.
///
/// # Errors
/// [`NoEntropy`] when the system gives no randomness.
pub fn generate_key(entropy: &dyn Entropy) -> Result<Zeroizing<String>, NoEntropy> {
    let key = Zeroizing::new(draw::<{ SealingKey::LENGTH }>(entropy)?);
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_slice())))
}

/// A key for one run, for stores that do not outlive it.
pub(super) fn key_for_this_run(entropy: &dyn Entropy) -> Result<SealingKey, NoEntropy> {
    Ok(SealingKey::new(draw(entropy)?))
}

/// Reads the key ring; reports every key that is none, is known to the world, or is there twice.
pub(super) fn session_keys(setting: &Setting<'_>) -> Vec<SealingKey> {
    let example = "[{ id = \"2026-11\", file = \"/run/secrets/session-key\" }]";
    if !setting.is_array() {
        setting.mask();
    }
    let Some(items) = setting.items(example) else { return Vec::new() };
    if items.is_empty() {
        setting.refuse("`session.keys` is empty", format!("name at least one key, or leave it out; {GENERATE}"));
    }
    if items.len() > MOST_KEYS {
        let message = format!("`session.keys` holds more than {MOST_KEYS} keys");
        setting.refuse(message, "take out the oldest: a key may go one session lifetime after it stopped being first");
    }
    let mut ring: Vec<([u8; 4], SealingKey)> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for item in items {
        if !item.is_table() {
            item.mask();
            item.refuse(format!("`{}` must name a file", item.path()), format!("write {example}"));
            continue;
        }
        let Some(section) = item.section(&SESSION_KEY) else { continue };
        if let Some(id) = section.setting("id")
            && let Some(name) = id.string("a name for people, such as \"2026-11\"")
        {
            if names.contains(&name) {
                id.refuse(format!("`{}` is the name of an earlier key", id.path()), "give every key a name of its own");
            }
            names.push(name);
        }
        let Some(text) = secret_of(&section, &item) else { continue };
        let Some(bytes) = key_bytes(&text, &item) else { continue };
        let kid = key_id(&bytes);
        let key = SealingKey::new(*bytes);
        if ring.iter().any(|(_, known)| *known == key) {
            item.refuse(format!("`{}` is the same key as an earlier one", item.path()), "name every key once");
        } else if ring.iter().any(|(known, _)| *known == kid) {
            let message = format!("`{}` has the key id of an earlier key by chance", item.path());
            item.refuse(message, GENERATE);
        } else {
            ring.push((kid, key));
        }
    }
    ring.into_iter().map(|(_, key)| key).collect()
}

fn key_bytes(text: &str, setting: &Setting<'_>) -> Option<Zeroizing<[u8; 32]>> {
    let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).unwrap_or_default());
    let Ok(bytes) = <[u8; SealingKey::LENGTH]>::try_from(decoded.as_slice()) else {
        setting.refuse(format!("`{}` is not 32 bytes in base64url", setting.path()), GENERATE);
        return None;
    };
    let bytes = Zeroizing::new(bytes);
    let first = bytes.first().copied();
    if text == EXAMPLE_KEY || bytes.iter().all(|byte| Some(*byte) == first) {
        setting.refuse(format!("`{}` is a key that everybody knows", setting.path()), GENERATE);
        return None;
    }
    Some(bytes)
}

/// The first bytes of a hash, by which a record says what it was sealed under.
fn key_id(key: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new().chain_update(b"vestibule/kid").chain_update(key).finalize();
    let [a, b, c, d, ..] = digest.0;
    [a, b, c, d]
}
