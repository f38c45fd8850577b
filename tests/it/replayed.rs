//! The fuzz targets without a fuzzer: every file of every corpus, and mutations of them out of a seed, through the very
//! properties of `fuzz/src`.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::harness::peer_process::project;
use crate::harness::seeded::Seeded;
use crate::properties;

/// Mutations of one target; what costs more gets fewer.
const MUTATIONS: usize = 3_000;
const COSTLY: [(&str, usize); 4] = [("configuration", 300), ("record", 500), ("card", 500), ("session_cookie", 500)];

/// Bytes that parsers care for.
const INTERESTING: &[u8] = b"/\\.%;:@?#&=+-_~*,\"'{}[]<>|^` \t\r\n\0\x01\x7f\x80\xc0\xff0aAfFzZ2eE5cC";

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = project().join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn mutate(random: &mut Seeded, bytes: &mut Vec<u8>, others: &[(PathBuf, Vec<u8>)]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let interesting = INTERESTING[random.below(INTERESTING.len())];
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = interesting,
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 if at < bytes.len() => {
                let end = (at + random.below(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &others[random.below(others.len())].1;
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => bytes.insert(at, interesting),
        }
    }
    // What is long in the corpus stays so; nothing grows without end.
    bytes.truncate(64 << 10);
}

fn holds(name: &str, bytes: &[u8], origin: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| properties::run(name, bytes)));
    assert!(outcome.is_ok(), "{name} does not hold for {origin}: b\"{}\"", bytes.escape_ascii());
}

#[test]
fn every_corpus_and_its_mutations_hold() {
    for (name, _) in properties::ALL {
        let files = corpus(name);
        for (path, bytes) in &files {
            holds(name, bytes, &path.display().to_string());
        }
        let mut random = Seeded::new(1);
        let mutations = COSTLY.iter().find(|(costly, _)| costly == name).map_or(MUTATIONS, |(_, mutations)| *mutations);
        for number in 0..mutations {
            let (path, bytes) = &files[random.below(files.len())];
            let mut bytes = bytes.clone();
            mutate(&mut random, &mut bytes, &files);
            holds(name, &bytes, &format!("mutation {number}, of {}", path.display()));
        }
    }
}

#[test]
fn every_property_has_a_target_and_a_corpus() {
    let names: BTreeSet<String> = properties::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |place: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(project().join("fuzz").join(place)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("targets"), names);
    assert_eq!(listed("corpus"), names);
    let manifest = fs::read_to_string(project().join("fuzz/Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n")), "{name}");
        let target = fs::read_to_string(project().join(format!("fuzz/targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("run(\"{name}\", bytes)")), "{name}");
        assert!(corpus(name).len() >= 8, "{name} has too small a corpus");
    }
}
