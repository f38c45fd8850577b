//! One value of the file with its place, read as what it should be.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::keys::Keys;
use super::reading::Reading;
use super::section::Section;
use super::units;

/// A value that was written.
#[derive(Clone)]
pub(super) struct Setting<'a> {
    reading: &'a Reading<'a>,
    path: String,
    key_span: Range<usize>,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Setting<'a> {
    pub(super) fn new(
        reading: &'a Reading<'a>,
        path: String,
        key_span: Range<usize>,
        span: Range<usize>,
        value: &'a DeValue<'a>,
    ) -> Self {
        Self { reading, path, key_span, span, value }
    }

    pub(super) fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// The key path as messages name it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reports a problem of the value.
    pub(super) fn refuse(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reading.error(self.place(), &self.path, message, help);
    }

    /// Warns about the value.
    pub(super) fn warn(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reading.warning(self.place(), &self.path, message, help);
    }

    /// A table written with a header has its place there; anything else where its value stands.
    fn place(&self) -> Range<usize> {
        if self.span.is_empty() { self.key_span.clone() } else { self.span.clone() }
    }

    /// Refuses a value that is planned.
    pub(super) fn refuse_unbuilt(&self, what: &str, help: &str) {
        self.refuse(format!("`{}`: {what} is not built yet", self.path), help);
    }

    /// Keeps the value out of every line that is shown.
    pub(super) fn mask(&self) {
        self.reading.mask(self.span.clone());
    }

    /// Reports a value of another type than the wanted one; never repeats it.
    pub(super) fn wrong_type(&self, wanted: &str, example: &str) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format!("`{}` is {found}, but must be {wanted}", self.path), format!("write {example}"));
    }

    /// The string, if it is one; reports nothing.
    pub(super) fn as_str(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if it is one; reports nothing.
    pub(super) fn as_boolean(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// The integer, if it is one that fits; reports nothing.
    pub(super) fn as_integer(&self) -> Option<i64> {
        let integer = self.value.as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    /// A string with something in it.
    pub(super) fn string(&self, example: &str) -> Option<&'a str> {
        let Some(text) = self.as_str() else {
            self.wrong_type("a string", example);
            return None;
        };
        if text.trim().is_empty() {
            self.refuse(format!("`{}` is empty", self.path), format!("write {example}"));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.as_boolean();
        if value.is_none() {
            self.wrong_type("a boolean", "true or false");
        }
        value
    }

    /// A count from one up to `most`.
    pub(super) fn count(&self, most: usize) -> Option<usize> {
        self.number(1, most)
    }

    pub(super) fn number(&self, least: usize, most: usize) -> Option<usize> {
        if !self.value.is_integer() {
            self.wrong_type("an integer", "a number such as 100");
            return None;
        }
        let count =
            self.as_integer().and_then(|number| usize::try_from(number).ok()).filter(|n| (least..=most).contains(n));
        if count.is_none() {
            self.refuse(format!("`{}` must be between {least} and {most}", self.path), "write a number in that range");
        }
        count
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        let Some(text) = self.as_str() else {
            self.wrong_type("a duration with its unit, in quotes", "for example \"30s\", \"10m\", \"8h\" or \"7d\"");
            return None;
        };
        units::duration(text)
            .map_err(|error| self.refuse(format!("`{}`: {error}", self.path), "write for example \"30s\" or \"10m\""))
            .ok()
    }

    pub(super) fn duration_above_zero(&self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            self.refuse(format!("`{}` must be longer than zero", self.path), "write for example \"30s\"");
            return None;
        }
        Some(duration)
    }

    pub(super) fn size(&self, least: usize, most: usize) -> Option<usize> {
        let Some(text) = self.as_str() else {
            self.wrong_type("a size with its unit, in quotes", "for example \"16KiB\"");
            return None;
        };
        let refuse = |message: String| self.refuse(message, "write for example \"16KiB\"");
        match units::size(text) {
            Ok(size) if (least..=most).contains(&size) => Some(size),
            Ok(_) => {
                let (least, most) = (units::size_text(least), units::size_text(most));
                refuse(format!("`{}` must be between {least} and {most}", self.path));
                None
            }
            Err(error) => {
                refuse(format!("`{}`: {error}", self.path));
                None
            }
        }
    }

    /// One word out of a few.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let list = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let Some(text) = self.as_str() else {
            self.wrong_type("a string", &list);
            return None;
        };
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.refuse(format!("`{}` must be {list}", self.path), format!("write {list}"));
        }
        chosen
    }

    /// The items of a list, each with its own place.
    pub(super) fn items(&self, example: &str) -> Option<Vec<Setting<'a>>> {
        let DeValue::Array(items) = self.value else {
            self.wrong_type("a list", example);
            return None;
        };
        let item = |(index, value): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let path = format!("{}[{index}]", self.path);
            // An array of tables has its own header for every item.
            let key_span = if value.span().is_empty() { self.key_span.clone() } else { value.span() };
            Setting::new(self.reading, path, key_span, value.span(), value.get_ref())
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list of strings without repetition.
    pub(super) fn strings(&self, example: &str) -> Option<Vec<(Setting<'a>, &'a str)>> {
        let mut strings: Vec<(Setting<'a>, &'a str)> = Vec::new();
        for item in self.items(example)? {
            let Some(text) = item.string(example) else { continue };
            if strings.iter().any(|(_, known)| *known == text) {
                item.refuse(format!("`{}` repeats an earlier item", item.path), "take it out");
            } else {
                strings.push((item, text));
            }
        }
        Some(strings)
    }

    /// A table with known keys.
    pub(super) fn section(&self, keys: &'static Keys) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type("a table", "a section in brackets, or { … } on one line");
            return None;
        };
        Some(Section::open(self.reading, table, &self.path, self.place(), keys))
    }

    /// The names in the table `inner` of this table, if both are tables; reports nothing.
    pub(super) fn names_in(&self, inner: &str) -> Vec<&'a str> {
        let inner = self.value.get(inner).and_then(|inner| inner.get_ref().as_table());
        inner.map(|table| table.keys().map(|key| key.get_ref().as_ref()).collect()).unwrap_or_default()
    }

    /// A table with names of the operator's own, in the order of the file.
    pub(super) fn members(&self, example: &str) -> Option<Vec<(&'a str, Setting<'a>)>> {
        let DeValue::Table(table) = self.value else {
            self.wrong_type("a table", example);
            return None;
        };
        Some(Section::members(self.reading, table, &self.path))
    }
}
