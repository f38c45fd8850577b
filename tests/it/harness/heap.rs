//! Heaps of bytes, and the spellings in which something could lie in one.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter ones would be found in any heap that is large enough.
const LEAST_PLAIN: usize = 5;
const LEAST_ENCODED: usize = 8;

/// Everything that somebody has got hold of.
#[derive(Debug, Default)]
pub struct Heap(Vec<(String, Vec<u8>, String)>);

impl Heap {
    /// All files in a directory.
    pub fn of_files(directory: &Path) -> Self {
        let mut heap = Self::default();
        heap.add_files(directory);
        heap
    }

    /// All files in a directory, as they are now.
    pub fn add_files(&mut self, directory: &Path) {
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            self.add(path.file_name().unwrap().to_str().unwrap(), fs::read(&path).unwrap());
        }
    }

    /// More bytes.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        // As text of one character for each byte it can be searched fast.
        let text = as_text(&bytes);
        self.0.push((name.to_owned(), bytes, text));
    }

    /// Each thing in it, by its name.
    pub fn named(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes, _)| (name.as_str(), bytes.as_slice()))
    }

    /// Whether these bytes lie in it.
    pub fn holds_bytes(&self, bytes: &[u8]) -> bool {
        self.holds(&as_text(bytes))
    }

    /// Whether one of [`spellings`] lies in it.
    pub fn holds(&self, spelling: &str) -> bool {
        self.0.iter().any(|(_, _, text)| text.contains(spelling))
    }
}

fn as_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// How something can lie among other bytes: plain, in hexadecimal, and in base64 wherever it begins in what was encoded.
pub fn spellings(value: &[u8]) -> Vec<String> {
    let mut spellings = Vec::new();
    if value.len() >= LEAST_PLAIN {
        spellings.push(as_text(value));
    }
    if value.len() >= LEAST_ENCODED {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        spellings.extend([hex.to_uppercase(), hex]);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            for before in 0..3 {
                let encoded = engine.encode([&vec![0; before], value].concat());
                // Characters at both ends that hold bits of the neighbours are left out.
                let (from, whole) = ([0, 2, 3][before], (before + value.len()) * 8 / 6);
                spellings.push(encoded[from..whole].to_owned());
            }
        }
    }
    spellings
}

#[test]
fn what_lies_in_a_heap_is_found_however_it_is_spelled() {
    let value = b"\x00secret \xff value";
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut disguised = vec![value.to_vec(), hex.to_uppercase().into(), hex.into()];
    for before in 0..4 {
        for after in 0..4 {
            let whole = [&vec![0xa5; before], &value[..], &vec![0x5a; after]].concat();
            disguised.extend([STANDARD_NO_PAD.encode(&whole).into(), URL_SAFE_NO_PAD.encode(&whole).into()]);
        }
    }
    for bytes in disguised {
        let mut heap = Heap::default();
        heap.add("heap", [b"before", &bytes[..], b"after"].concat());
        assert!(spellings(value).iter().any(|spelling| heap.holds(spelling)), "{bytes:?}");
    }
    let mut other = Heap::default();
    other.add("heap", b"\x00secret \xfe value".to_vec());
    assert!(!spellings(value).iter().any(|spelling| other.holds(spelling)));
}
