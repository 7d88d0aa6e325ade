//! A TOML text in which every mistake has a line.
//!
//! Knows sections, keys and lines, and nothing of what they mean. Names that do not exist are
//! refused when the text is parsed, before any value is looked at.

use super::error::{ConfigError, Hint, Place};
use super::values::ValueError;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The sections that exist, and the keys of each.
pub(super) type Sections = [(&'static str, &'static [&'static str])];

/// The most entries of a list: a file is written by hand. A longer list is refused.
const LIST_LEN_MAX: usize = 256;

/// A parsed text all of whose names exist.
pub(super) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Parses a text; `file` names it in errors.
    pub fn parse(
        file: &'a str,
        bytes: &'a [u8],
        sections: &'static Sections,
    ) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_of(&bytes[..error.valid_up_to()]);
            let place = Place { file: file.into(), line };
            ConfigError::Syntax { place, why: "expected text in UTF-8".into() }
        })?;
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let place = Place { file: file.into(), line: line_of(&bytes[..at.min(bytes.len())]) };
            let why = error.message().lines().collect::<Vec<_>>().join(", ");
            ConfigError::Syntax { place, why }
        })?;
        let document = Self { file, text, root: root.into_inner() };
        document.check_names(sections)?;
        Ok(document)
    }

    /// The value of a key as `read` understands it, or `None` where the key is absent.
    pub fn value<T>(
        &self,
        section: &'static str,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ConfigError> {
        self.find(section, key)
            .map(|value| {
                read(value.get_ref()).map_err(|why| self.bad_value(value, section, key, why))
            })
            .transpose()
    }

    /// The list at a key, each entry as `read` understands it.
    pub fn list<T>(
        &self,
        section: &'static str,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, ValueError>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(value) = self.find(section, key) else { return Ok(None) };
        let Some(entries) = value.get_ref().as_array() else {
            let why = ValueError::expected("a list, such as [\"one\", \"two\"]", value.get_ref());
            return Err(self.bad_value(value, section, key, why));
        };
        if entries.len() > LIST_LEN_MAX {
            let got = format!("{} entries", entries.len());
            let why = ValueError::new(format!("at most {LIST_LEN_MAX} entries"), got);
            return Err(self.bad_value(value, section, key, why));
        }
        let read_entry = |entry: &Spanned<DeValue<'_>>| {
            read(entry.get_ref()).map_err(|why| self.bad_value(entry, section, key, why))
        };
        entries.iter().map(read_entry).collect::<Result<_, _>>().map(Some)
    }

    /// The table at a key, each of its names and values as `read` understands them, in the order of
    /// the names.
    pub fn entries<T>(
        &self,
        section: &'static str,
        key: &'static str,
        read: impl Fn(&str, &DeValue<'_>) -> Result<T, ValueError>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(value) = self.find(section, key) else { return Ok(None) };
        let Some(table) = value.get_ref().as_table() else {
            let why = ValueError::expected("a table, such as { name = 1 }", value.get_ref());
            return Err(self.bad_value(value, section, key, why));
        };
        let mut entries = Vec::with_capacity(table.len());
        for (name, value) in table {
            let entry = read(name.get_ref(), value.get_ref());
            entries.push(entry.map_err(|why| self.bad_value(name, section, key, why))?);
        }
        Ok(Some(entries))
    }

    /// Where a section begins, or where one of its keys has its value, if that stands there.
    pub fn place_of(&self, section: &str, key: Option<&str>) -> Option<Place> {
        let place = key.and_then(|key| self.find(section, key)).map(|value| self.place(value));
        place.or_else(|| self.root.get_key_value(section).map(|(name, _)| self.place(name)))
    }

    fn find(&self, section: &str, key: &str) -> Option<&Spanned<DeValue<'a>>> {
        self.root.get(section).and_then(|table| table.get_ref().get(key))
    }

    fn check_names(&self, sections: &'static Sections) -> Result<(), ConfigError> {
        for (name, value) in &self.root {
            let known = sections.iter().find(|(section, _)| section == name.get_ref());
            let Some((section, keys)) = known else {
                let is_key = !value.get_ref().is_table();
                let all = sections.iter().map(|(section, _)| *section).collect();
                let home = if is_key { home_of(name.get_ref(), sections) } else { None };
                let hint = Box::new(hint(name.get_ref(), all, home));
                let (place, name) = (self.place(name), name.get_ref().to_string());
                return Err(ConfigError::UnknownSection { place, name, hint });
            };
            let Some(table) = value.get_ref().as_table() else {
                let why = format!("expected a section, written [{section}] on its own line");
                return Err(ConfigError::Syntax { place: self.place(name), why });
            };
            if let Some(key) = table.keys().find(|key| !keys.contains(&&**key.get_ref())) {
                let home = home_of(key.get_ref(), sections);
                let hint = Box::new(hint(key.get_ref(), keys.to_vec(), home));
                let (place, key) = (self.place(key), key.get_ref().to_string());
                return Err(ConfigError::UnknownKey { place, section, key, hint });
            }
        }
        Ok(())
    }

    fn bad_value<T>(
        &self,
        at: &Spanned<T>,
        section: &'static str,
        key: &'static str,
        why: ValueError,
    ) -> ConfigError {
        ConfigError::Value { place: self.place(at), section, key, why }
    }

    fn place<T>(&self, at: &Spanned<T>) -> Place {
        let before = &self.text.as_bytes()[..at.span().start.min(self.text.len())];
        Place { file: self.file.into(), line: line_of(before) }
    }
}

/// The line on which a text goes on after `before`.
fn line_of(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn home_of(key: &str, sections: &'static Sections) -> Option<&'static str> {
    sections.iter().find(|(_, keys)| keys.contains(&key)).map(|(section, _)| *section)
}

/// What `typed` could have been. The nearest name is shown if at most a third of it is mistyped.
fn hint(typed: &str, known: Vec<&'static str>, home: Option<&'static str>) -> Hint {
    let distance = |name: &&str| strsim::damerau_levenshtein(typed, name);
    let near = typed.chars().count().div_ceil(3);
    let nearest = known.iter().copied().min_by_key(distance).filter(|name| distance(name) <= near);
    Hint { known, nearest, home }
}
