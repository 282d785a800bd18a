//! Our name among those a message has passed (`Via`, RFC 9110 §7.6.3).

use std::ops::Deref;

use http::Version;
use http::header::{self, HeaderMap, HeaderValue, InvalidHeaderValue};

use super::fields::tokens;

/// Our name in `Via` and `Proxy-Status`, and our elements of `Via`: they go into every message.
#[derive(Debug)]
pub(crate) struct Pseudonym {
    name: String,
    /// For a message received in HTTP/1.0, and for any other.
    elements: [HeaderValue; 2],
}

impl Pseudonym {
    /// Errors: the name cannot stand in a field
    pub(crate) fn new(name: String) -> Result<Self, InvalidHeaderValue> {
        let element = |version| HeaderValue::from_str(&format!("{version} {name}"));
        Ok(Self { elements: [element("1.0")?, element("1.1")?], name })
    }

    /// Adds our element; `version` is that of the message received.
    pub(crate) fn add_to(&self, fields: &mut HeaderMap, version: Version) {
        let [old, new] = &self.elements;
        fields.append(header::VIA, if version == Version::HTTP_10 { old } else { new }.clone());
    }

    /// Whether the message has been through us before.
    pub(crate) fn is_in(&self, fields: &HeaderMap) -> bool {
        tokens(fields, &header::VIA).any(|hop| hop.split_ascii_whitespace().nth(1) == Some(&self.name))
    }
}

impl Deref for Pseudonym {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_version_received_and_finds_itself() {
        let me = Pseudonym::new("me-1".to_owned()).unwrap();
        let mut fields = HeaderMap::new();
        fields.insert(header::VIA, HeaderValue::from_static("1.0 other, 1.1 proxy.example (x)"));
        assert!(!me.is_in(&fields));
        me.add_to(&mut fields, Version::HTTP_10);
        let lines: Vec<_> = fields.get_all(header::VIA).iter().collect();
        assert_eq!(lines, ["1.0 other, 1.1 proxy.example (x)", "1.0 me-1"]);
        assert!(me.is_in(&fields));
        assert!(!Pseudonym::new("me-11".to_owned()).unwrap().is_in(&fields));
        assert!(!Pseudonym::new("me".to_owned()).unwrap().is_in(&fields));
        fields.clear();
        me.add_to(&mut fields, Version::HTTP_11);
        assert_eq!(fields[header::VIA], "1.1 me-1");
    }
}
