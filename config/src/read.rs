//! From TOML to checked values, one key at a time, collecting every problem on the way.
//!
//! A walk over the spanned tree rather than serde structures: serde stops at the first problem and knows no lines, and an operator
//! wants all of them with lines. A key is known because somebody asked for it; what nobody asked for is refused when its
//! [`Section`] is dropped, so no section can forget to refuse. Nothing here knows what any key means.

mod spelling;
pub(crate) mod value;

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::error::Problem;
use crate::unit::{Invalid, shown};
use spelling::nearest;

pub(crate) use value::FromToml;

/// The text being read and what is wrong with it so far.
pub(crate) struct Source<'t> {
    file: &'t Path,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// One table of the file, or its absence.
pub(crate) struct Section<'a> {
    source: &'a Source<'a>,
    table: Option<&'a DeTable<'a>>,
    /// Where a problem is reported that has no key of its own: the header.
    header: Range<usize>,
    /// `listener[1]`, `limits`, or empty for the file itself.
    base: String,
    /// `listener "edge"`, once the name is known.
    title: Option<String>,
    /// `tls` for a table within.
    inner: &'static str,
    known: Vec<&'static str>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(text: &'t str, file: &'t Path) -> Self {
        Self { file, text, problems: RefCell::default() }
    }

    /// The directory that paths in the file are meant from.
    pub(crate) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or_else(|| Path::new(""))
    }

    /// Broken TOML.
    pub(crate) fn broken(&self, error: &toml::de::Error) {
        let at = error.span().map_or(0, |span| span.start);
        let found = error.span().and_then(|span| self.text.get(span)).unwrap_or("").trim();
        let found = if found.is_empty() { String::new() } else { format!(" at \"{}\"", shown(found)) };
        let what = format!("{}{found}", shown(error.message()));
        self.push(at, String::new(), String::new(), None, what, String::new());
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    fn push(&self, at: usize, key: String, label: String, value: Option<String>, what: String, expected: String) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |index| index + 1);
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(start..).unwrap_or("").chars().count() + 1,
            key,
            label,
            value,
            what,
            expected,
        });
    }
}

impl<'a> Section<'a> {
    /// The file itself as a table.
    pub(crate) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(source, Some(table), 0..0, String::new())
    }

    fn new(source: &'a Source<'a>, table: Option<&'a DeTable<'a>>, header: Range<usize>, base: String) -> Self {
        Self { source, table, header, base, title: None, inner: "", known: Vec::new() }
    }

    fn entry(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// The section under a key of the file, empty where there is none.
    pub(crate) fn table(&mut self, key: &'static str) -> Self {
        let value = self.entry(key);
        let table = value.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        if table.is_none() && value.is_some() {
            self.refuse(key, "not a section", &format!("expected single brackets, once: [{key}]"));
        }
        Self::new(self.source, table, value.map_or(0..0, Spanned::span), key.to_owned())
    }

    /// Refuses the path of a socket that the kernel cannot hold: sockaddr_un has 108 bytes with the closing zero, unix(7).
    pub(crate) fn refuse_long_socket(&mut self, key: &'static str, path: Option<&Path>) {
        if path.is_some_and(|path| path.as_os_str().len() > 107) {
            self.refuse(key, "longer than the kernel's 107 bytes", "expected a shorter path");
        }
    }

    /// The table under a key of this section, if there is one.
    pub(crate) fn inner(&mut self, key: &'static str, expected: &str) -> Option<Self> {
        let value = self.entry(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.refuse(key, "not a table", &format!("expected {expected}"));
            return None;
        };
        let mut inner = Self::new(self.source, Some(table), value.span(), self.base.clone());
        inner.title.clone_from(&self.title);
        inner.inner = key;
        Some(inner)
    }

    /// The array of tables under a key, empty where there is none.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.entry(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse(key, "not a list of sections", &format!("expected double brackets, once for each: [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Self::new(self.source, Some(table), item.span(), format!("{key}[{index}]")));
                }
                _ => self.refuse(key, "not a list of sections", &format!("expected [[{key}]] sections")),
            }
        }
        sections
    }

    /// The value of a key, if it is there and right; reports it if it is there and wrong.
    pub(crate) fn get<T: FromToml>(&mut self, key: &'static str) -> Option<T> {
        let value = self.entry(key)?;
        self.item(key, value)
    }

    /// The value of a key that must be there.
    pub(crate) fn require<T: FromToml>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.refuse(key, "missing", &format!("expected {expected}"));
            return None;
        }
        self.get(key)
    }

    /// The value of a key, or its default.
    pub(crate) fn get_or<T: FromToml>(&mut self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// A whole number within a range, or its default.
    pub(crate) fn number<T: TryFrom<i64> + Copy>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        default: T,
    ) -> T {
        self.number_of(key, range).unwrap_or(default)
    }

    /// A whole number within a range.
    pub(crate) fn number_of<T: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<T> {
        let value = self.entry(key)?;
        let number = value::integer(value.get_ref()).filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let what = if value::integer(value.get_ref()).is_some() { "out of range" } else { "not a whole number" };
            self.refuse(key, what, &format!("expected a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A list of values; every wrong item is reported, the right ones are returned.
    pub(crate) fn list<T: FromToml>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let value = self.entry(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse(key, "not a list", &format!("expected a list of {}: [ … ]", T::PLURAL));
            return None;
        };
        Some(self.items(key, items))
    }

    /// A list of values, or one value without the brackets.
    pub(crate) fn one_or_list<T: FromToml>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let value = self.entry(key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some(self.items(key, items)),
            _ => self.item(key, value).map(|value| vec![value]),
        }
    }

    fn items<T: FromToml>(&self, key: &str, items: &'a DeArray<'a>) -> Vec<T> {
        items.iter().enumerate().filter_map(|(index, item)| self.item(&format!("{key}[{index}]"), item)).collect()
    }

    fn item<T: FromToml>(&self, key: &str, value: &Spanned<DeValue<'a>>) -> Option<T> {
        match T::from_toml(value.get_ref()) {
            Ok(right) => Some(right),
            Err(Invalid { what, expected }) => {
                self.refuse_at(key, Some(value.span()), true, &what, &format!("expected {expected}"));
                None
            }
        }
    }

    /// Whether the key is in the file.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether the key is in the file with an empty list.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()))
    }

    /// Tells the section its name, for the messages to come.
    pub(crate) fn named(&mut self, name: &str) {
        let kind = self.base.split('[').next().unwrap_or("");
        self.title = Some(format!("{kind} \"{}\"", shown(name)));
    }

    /// How messages call this section: `listener "edge"`, or `listener[1]`.
    pub(crate) fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.base)
    }

    /// The directory that paths in the file are meant from.
    pub(crate) fn directory(&self) -> &Path {
        self.source.directory()
    }

    /// Reports a problem with the value of a key, or with its absence.
    pub(crate) fn refuse(&self, key: &str, what: &str, expected: &str) {
        let value = self.table.and_then(|table| table.get(key));
        // A table's text can be long and says nothing.
        let show = value.is_some_and(|value| !matches!(value.get_ref(), DeValue::Table(_)) && !is_sections(value));
        self.refuse_at(key, value.map(Spanned::span), show, what, expected);
    }

    fn refuse_at(&self, key: &str, span: Option<Range<usize>>, show: bool, what: &str, expected: &str) {
        let dot = if self.inner.is_empty() { "" } else { "." };
        let key = format!("{}{dot}{key}", self.inner);
        let dotted = if self.base.is_empty() { key.clone() } else { format!("{}.{key}", self.base) };
        let label = self.title.as_ref().map_or_else(|| dotted.clone(), |title| format!("{title}: {key}"));
        let at = span.clone().unwrap_or_else(|| self.header.clone());
        let value = span.filter(|_| show).and_then(|span| self.source.text.get(span)).map(written);
        self.source.push(at.start, dotted, label, value, what.to_owned(), expected.to_owned());
    }
}

/// A value as it is written in the file, on one line.
fn written(text: &str) -> String {
    // Line ends and indentation inside a list say nothing; inside a string they would need quoting anyway.
    if text.starts_with('[') { shown(&text.split_whitespace().collect::<Vec<_>>().join(" ")) } else { shown(text) }
}

/// Whether the value is an array of `[[sections]]`.
fn is_sections(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Array(items) if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))))
}

impl Drop for Section<'_> {
    /// Refuses every key that nobody asked for.
    fn drop(&mut self) {
        for (key, _) in self.table.into_iter().flatten() {
            if self.known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let fix = match nearest(key.get_ref(), &self.known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("expected one of: {}", known.join(", "))
                }
            };
            self.refuse_at(&shown(key.get_ref()), Some(key.span()), false, "unknown key", &fix);
        }
    }
}

#[cfg(test)]
mod tests;
