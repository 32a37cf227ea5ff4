//! What a node says of itself in the coordination service, for as long as it is there.

use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Member;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// Names become parts of znode paths and of log lines.
const NAME_LENGTH_MAX: usize = 64;
/// More shards than any machine has cores.
const SHARDS_MAX: u16 = 1024;

/// Whether a node may be given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It may.
    Up,
    /// It is about to leave by plan, by its own wish.
    Draining,
    /// A layout tells it to leave, or went on without it: nothing is given to this life of it any more, unless it is called back.
    Parting,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its layer.
    pub layer: Layer,
    /// Its name, for people.
    pub name: Arc<str>,
    /// This life of it.
    #[serde(with = "incarnation_text")]
    pub incarnation: Incarnation,
    /// `HOST:PORT` where links reach it.
    pub link_address: Arc<str>,
    /// `HOST:PORT` where clients reach it; empty but for connection points.
    pub client_address: Arc<str>,
    /// How many shards it runs, at least 1: its capacity.
    pub shards: u16,
    /// Whether it may be given work.
    pub state: NodeState,
}

impl Registration {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is not right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        validate_name("name", &self.name)?;
        validate_address("link_address", &self.link_address)?;
        if !self.client_address.is_empty() || self.layer == Layer::ConnectionPoint {
            validate_address("client_address", &self.client_address)?;
        }
        if !(1..=SHARDS_MAX).contains(&self.shards) {
            return Err(ConfigError::new("shards", self.shards, format!("1 to {SHARDS_MAX}")));
        }
        Ok(())
    }

    /// How the layout names this node.
    #[must_use]
    pub fn to_member(&self) -> Member {
        Member {
            layer: self.layer,
            name: self.name.clone(),
            link_address: self.link_address.clone(),
            client_address: self.client_address.clone(),
            shards: self.shards,
        }
    }

    /// The last part of the paths of this node's znodes: its name, and its incarnation, so that a node that starts again
    /// is never taken for what is left of its former life.
    #[must_use]
    pub fn znode(&self) -> String {
        format!("{}@{}", self.name, self.incarnation)
    }
}

/// The incarnation at the end of what [`Registration::znode`] gave.
#[must_use]
pub fn incarnation_of_znode(name: &str) -> Option<Incarnation> {
    let (_, digits) = name.rsplit_once('@')?;
    parse_incarnation(digits)
}

/// Checks what becomes a part of a path: a node's or a cluster's name.
///
/// # Errors
/// Names the field and what would be right.
pub fn validate_name(field: &'static str, name: &str) -> Result<(), ConfigError> {
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    // The empty name as well: there is no character that is not a dot.
    let dots = name.chars().all(|character| character == '.');
    if name.len() <= NAME_LENGTH_MAX && name.chars().all(fits) && !dots {
        return Ok(());
    }
    let right = format!("1 to {NAME_LENGTH_MAX} characters of A-Z a-z 0-9 . _ - and not only dots");
    Err(ConfigError::new(field, format!("«{name}»"), right))
}

fn validate_address(field: &'static str, address: &str) -> Result<(), ConfigError> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if matches!(port, Some(Ok(1..))) {
        return Ok(());
    }
    Err(ConfigError::new(field, format!("«{address}»"), "HOST:PORT"))
}

/// Reads what [`Incarnation`] prints.
#[must_use]
pub fn parse_incarnation(digits: &str) -> Option<Incarnation> {
    let printed = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    printed.then(|| u64::from_str_radix(digits, 16).ok().map(Incarnation)).flatten()
}

/// An incarnation as 16 hexadecimal digits: a JSON number would lose bits in readers that take numbers for doubles.
pub(crate) mod incarnation_text {
    use gomera_cluster::address::Incarnation;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference in")]
    pub(crate) fn serialize<S: Serializer>(incarnation: &Incarnation, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(incarnation)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Incarnation, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_incarnation(&text)
            .ok_or_else(|| D::Error::custom(format!("the incarnation is «{text}», must be 16 hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        Registration {
            layer: Layer::ConnectionPoint,
            name: Arc::from("cp-1"),
            incarnation: Incarnation(0xfedc_ba98_7654_3210),
            link_address: Arc::from("127.0.0.1:7001"),
            client_address: Arc::from("127.0.0.1:7000"),
            shards: 1,
            state: NodeState::Up,
        }
    }

    #[test]
    fn a_registration_is_json_that_a_person_can_read() {
        let json = serde_json::to_string(&registration()).expect("serialises");
        assert_eq!(
            json,
            r#"{"layer":"connection-point","name":"cp-1","incarnation":"fedcba9876543210","link_address":"127.0.0.1:7001","client_address":"127.0.0.1:7000","shards":1,"state":"up"}"#
        );
        assert_eq!(serde_json::from_str::<Registration>(&json).expect("reads"), registration());
    }

    #[test]
    fn the_name_of_a_znode_tells_the_incarnation() {
        assert_eq!(registration().znode(), "cp-1@fedcba9876543210");
        assert_eq!(incarnation_of_znode("cp-1@fedcba9876543210"), Some(Incarnation(0xfedc_ba98_7654_3210)));
        for name in ["cp-1", "cp-1@", "cp-1@fedc", "cp-1@+edcba9876543210", "cp-1@gedcba9876543210"] {
            assert_eq!(incarnation_of_znode(name), None, "{name}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_what_would_be_right() {
        let complaint = |registration: Registration| registration.validate().expect_err("not valid").to_string();
        assert_eq!(registration().validate(), Ok(()));
        let named = complaint(Registration { name: Arc::from("a/b"), ..registration() });
        assert!(named.starts_with("name is «a/b», must be 1 to 64 characters"), "{named}");
        let nameless = complaint(Registration { name: Arc::from(""), ..registration() });
        assert!(nameless.starts_with("name is «», must be"), "{nameless}");
        let addressed = complaint(Registration { link_address: Arc::from("localhost"), ..registration() });
        assert_eq!(addressed, "link_address is «localhost», must be HOST:PORT");
        let unreachable = complaint(Registration { client_address: Arc::from(""), ..registration() });
        assert_eq!(unreachable, "client_address is «», must be HOST:PORT");
        let idle = complaint(Registration { shards: 0, ..registration() });
        assert_eq!(idle, "shards is 0, must be 1 to 1024");
    }
}
