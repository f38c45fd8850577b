//! A table of the file: refuses keys nobody knows, hands out the settings that are there.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::Keys;
use super::reading::Reading;
use super::setting::Setting;

/// A table whose keys are known.
pub(super) struct Section<'a> {
    reading: &'a Reading<'a>,
    table: &'a DeTable<'a>,
    path: String,
    span: Range<usize>,
    keys: &'static Keys,
}

impl<'a> Section<'a> {
    /// Opens a table and reports what does not belong there.
    pub(super) fn open(
        reading: &'a Reading<'a>,
        table: &'a DeTable<'a>,
        path: &str,
        span: Range<usize>,
        keys: &'static Keys,
    ) -> Self {
        let section = Self { reading, table, path: path.to_owned(), span, keys };
        for (key, value) in table {
            let name: &str = key.get_ref();
            if keys.built.contains(&name) {
                if keys.may_hold_secrets() && (value.get_ref().is_table() || value.get_ref().is_array()) {
                    section.mask_all(value);
                }
                continue;
            }
            if keys.may_hold_secrets() {
                // The name of the key may be the secret: `client_secret.THE-SECRET = …`.
                reading.mask(key.span());
                section.mask_all(value);
                let message = format!("there is no key of that name in `{path}`");
                reading.error(key.span(), path, message, format!("known here: {}", keys.built.join(", ")));
                continue;
            }
            // Nobody knows whether that value is a secret; it is not shown.
            section.mask_scalars(value);
            let path = section.path_of(name);
            if keys.unbuilt.contains(&name) {
                let help = "take it out, if you can do without what it asks for";
                reading.error(key.span(), &path, format!("`{path}` is not built yet"), help);
            } else {
                reading.error(key.span(), &path, format!("there is no key `{path}`"), keys.advice(name));
            }
        }
        section
    }

    fn mask_scalars(&self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.iter().for_each(|(_, value)| self.mask_scalars(value)),
            DeValue::Array(items) => items.iter().for_each(|value| self.mask_scalars(value)),
            _ => self.reading.mask(value.span()),
        }
    }

    /// Values and the names of keys, however deep.
    fn mask_all(&self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.iter().for_each(|(key, value)| {
                self.reading.mask(key.span());
                self.mask_all(value);
            }),
            DeValue::Array(items) => items.iter().for_each(|value| self.mask_all(value)),
            _ => self.reading.mask(value.span()),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The setting of this name, if it was written.
    pub(super) fn setting(&self, name: &str) -> Option<Setting<'a>> {
        debug_assert!(self.keys.built.contains(&name), "{name} is missing in keys.rs");
        let (key, value) = self.table.get_key_value(name)?;
        Some(Setting::new(self.reading, self.path_of(name), key.span(), value.span(), value.get_ref()))
    }

    /// Reports that a key without a default was not written.
    pub(super) fn missing(&self, name: &str, help: &str) {
        let path = self.path_of(name);
        self.reading.absent(self.span.clone(), &path, format!("`{path}` is missing"), help);
    }

    /// Reports something that concerns the table as a whole.
    pub(super) fn refuse(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reading.error(self.span.clone(), &self.path, message, help);
    }

    /// Reports something about a key, where it was written, or else about the table that should hold it.
    pub(super) fn refuse_at(&self, name: &str, message: impl Into<String>, help: impl Into<String>) {
        match self.setting(name) {
            Some(setting) => setting.refuse(message, help),
            None => self.reading.absent(self.span.clone(), &self.path_of(name), message, help),
        }
    }

    /// Warns about the table as a whole.
    pub(super) fn warn(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reading.warning(self.span.clone(), &self.path, message, help);
    }

    /// The table of this name, or an empty one in its place.
    pub(super) fn section(&self, name: &str, keys: &'static Keys) -> Option<Section<'a>> {
        self.setting(name)?.section(keys)
    }

    pub(super) fn boolean(&self, name: &str, default: bool) -> bool {
        self.setting(name).and_then(|setting| setting.boolean()).unwrap_or(default)
    }

    /// A count from one up to `most`.
    pub(super) fn count(&self, name: &str, default: usize, most: usize) -> usize {
        self.setting(name).and_then(|setting| setting.count(most)).unwrap_or(default)
    }

    /// A duration above zero.
    pub(super) fn duration(&self, name: &str, default: Duration) -> Duration {
        self.setting(name).and_then(|setting| setting.duration_above_zero()).unwrap_or(default)
    }

    /// A duration that may be zero.
    pub(super) fn duration_or_zero(&self, name: &str, default: Duration) -> Duration {
        self.setting(name).and_then(|setting| setting.duration()).unwrap_or(default)
    }

    pub(super) fn size(&self, name: &str, default: usize, least: usize, most: usize) -> usize {
        self.setting(name).and_then(|setting| setting.size(least, most)).unwrap_or(default)
    }

    pub(super) fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        self.setting(name).and_then(|setting| setting.choice(choices)).unwrap_or(default)
    }

    /// Members in the order of the file.
    pub(super) fn members(reading: &'a Reading<'a>, table: &'a DeTable<'a>, path: &str) -> Vec<(&'a str, Setting<'a>)> {
        let mut entries: Vec<(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let name: &str = key.get_ref();
                let setting =
                    Setting::new(reading, format!("{path}.{name}"), key.span(), value.span(), value.get_ref());
                (name, setting)
            })
            .collect()
    }
}
