//! What the frames of a batch share: tenants, publishers, publications, each once.

use std::collections::HashMap;
use std::sync::Arc;

use gomera_cluster::address::Layer;
use gomera_cluster::identity::{Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey, SystemAttributes};
use gomera_cluster::table::{Seeded, Table};
use gomera_model::attributes::AttributeLimits;
use gomera_model::publication::PublicationLimits;
use gomera_model::timestamp::Timestamp;

use super::{LinkError, needs_attributes, parts, v1};
use crate::publication::PublicationReader;

/// Collects the tables of a batch.
#[derive(Debug)]
pub struct Encoder {
    tenants: Vec<Tenant>,
    publishers: Vec<v1::Publisher>,
    /// The tables are small and made anew for each batch, and their keys are hashes or addresses: no seed is needed.
    publisher_indices: Table<(PublisherKey, Instance), u32>,
    envelopes: Vec<v1::Envelope>,
    /// By address: the frames hold the envelopes while the batch is made.
    envelope_indices: HashMap<usize, u32, Seeded>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            publishers: Vec::new(),
            publisher_indices: Table::with_hasher(Seeded::new(0)),
            envelopes: Vec::new(),
            envelope_indices: HashMap::with_hasher(Seeded::new(0)),
        }
    }
}

impl Encoder {
    pub fn tenant(&mut self, tenant: &Tenant) -> u32 {
        // Few tenants share a batch, and one follows itself most of the time.
        if let Some(index) = self.tenants.iter().rposition(|known| known == tenant) {
            return count(index);
        }
        self.tenants.push(tenant.clone());
        count(self.tenants.len() - 1)
    }

    pub fn envelope(&mut self, envelope: &Arc<Envelope>) -> u32 {
        let address = Arc::as_ptr(envelope).addr();
        if let Some(&index) = self.envelope_indices.get(&address) {
            return index;
        }
        let wire = v1::Envelope {
            publisher: self.publisher(envelope),
            sequence: envelope.key.sequence.0,
            accepted_at: envelope.accepted_at.0,
            expires_at: envelope.expires_at.map(|instant| instant.0),
            content: envelope.content.clone(),
        };
        let index = count(self.envelopes.len());
        self.envelopes.push(wire);
        self.envelope_indices.insert(address, index);
        index
    }

    fn publisher(&mut self, envelope: &Envelope) -> u32 {
        let key = (envelope.key.publisher, envelope.key.instance);
        if let Some(&index) = self.publisher_indices.get(&key) {
            return index;
        }
        let wire = v1::Publisher {
            tenant: self.tenant(&envelope.tenant),
            name: envelope.publisher.as_ref().to_owned(),
            key: Some(parts::to_key(envelope.key.publisher.0)),
            instance: envelope.key.instance.0,
        };
        let index = count(self.publishers.len());
        self.publishers.push(wire);
        self.publisher_indices.insert(key, index);
        index
    }

    pub fn finish(self, frames: Vec<v1::Frame>) -> v1::Batch {
        v1::Batch {
            tenants: self.tenants.into_iter().map(|tenant| tenant.0.as_ref().to_owned()).collect(),
            publishers: self.publishers,
            envelopes: self.envelopes,
            frames,
        }
    }
}

pub fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a batch is bounded by credit, far below 2^32 parts")
}

/// Decodes batches of one link. Names are kept from one batch to the next, so that publications share them.
#[derive(Debug)]
pub struct Decoder {
    layer: Layer,
    system: SystemAttributes,
    reader: PublicationReader,
    tenants: Vec<Tenant>,
    publishers: Vec<Publisher>,
    known: Table<(PublisherKey, Instance), Publisher>,
    known_bytes: usize,
    envelopes: Vec<Arc<Envelope>>,
}

#[derive(Clone, Debug)]
struct Publisher {
    tenant: Tenant,
    name: Arc<str>,
    key: PublisherKey,
    instance: Instance,
}

/// What names of publishers may take before all are forgotten and learned anew.
const KNOWN_BYTES_MAX: usize = 4 << 20;

impl Decoder {
    /// For a link that ends at a node of this layer.
    #[must_use]
    pub fn new(layer: Layer) -> Self {
        Self {
            layer,
            system: SystemAttributes::default(),
            reader: PublicationReader::new(trusted()),
            tenants: Vec::new(),
            publishers: Vec::new(),
            known: Table::default(),
            known_bytes: 0,
            envelopes: Vec::new(),
        }
    }

    pub(super) fn fill(
        &mut self,
        tenants: Vec<String>,
        publishers: Vec<v1::Publisher>,
        envelopes: Vec<v1::Envelope>,
    ) -> Result<(), LinkError> {
        self.release();
        if !tenants.iter().map(String::as_str).eq(self.tenants.iter().map(|tenant| &*tenant.0)) {
            self.tenants = tenants.into_iter().map(|tenant| Tenant(tenant.into())).collect();
        }
        self.publishers.clear();
        for wire in publishers {
            let publisher = self.publisher(wire)?;
            self.publishers.push(publisher);
        }
        self.envelopes.reserve(envelopes.len());
        for wire in envelopes {
            let envelope = self.read(wire)?;
            self.envelopes.push(Arc::new(envelope));
        }
        Ok(())
    }

    /// Lets go of the publications of the batch.
    pub(super) fn release(&mut self) {
        self.envelopes.clear();
    }

    fn publisher(&mut self, wire: v1::Publisher) -> Result<Publisher, LinkError> {
        let tenant = self.tenant(wire.tenant)?;
        let key = PublisherKey(parts::key(wire.key)?);
        let instance = Instance(wire.instance);
        if let Some(known) = self.known.get(&(key, instance))
            && *known.name == *wire.name
            && known.tenant == tenant
        {
            return Ok(known.clone());
        }
        self.known_bytes += wire.name.len() + size_of::<Publisher>();
        if self.known_bytes > KNOWN_BYTES_MAX {
            self.known.clear();
            self.known_bytes = 0;
        }
        let publisher = Publisher { tenant, name: wire.name.into(), key, instance };
        self.known.insert((key, instance), publisher.clone());
        Ok(publisher)
    }

    fn read(&mut self, wire: v1::Envelope) -> Result<Envelope, LinkError> {
        let publisher = usize::try_from(wire.publisher)
            .ok()
            .and_then(|index| self.publishers.get(index))
            .ok_or_else(|| LinkError::new("publisher", "is not in the table"))?;
        let accepted_at = Timestamp(wire.accepted_at);
        let attributes = if needs_attributes(self.layer) {
            let decoded =
                self.reader.decode(&wire.content).map_err(|error| LinkError::new("content", error.to_string()))?;
            let time = decoded.time.unwrap_or(accepted_at);
            AttributeBlock::Decoded(Arc::new(self.system.stamp(decoded.attributes, &publisher.name, time)))
        } else {
            AttributeBlock::Encoded
        };
        Ok(Envelope {
            tenant: publisher.tenant.clone(),
            publisher: publisher.name.clone(),
            key: PublicationKey {
                publisher: publisher.key,
                instance: publisher.instance,
                sequence: Sequence(wire.sequence),
            },
            accepted_at,
            expires_at: wire.expires_at.map(Timestamp),
            content: wire.content,
            attributes,
        })
    }

    pub(super) fn tenant(&self, index: u32) -> Result<Tenant, LinkError> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.tenants.get(index))
            .cloned()
            .ok_or_else(|| LinkError::new("tenant", "is not in the table"))
    }

    pub(super) fn envelope(&self, index: u32) -> Result<Arc<Envelope>, LinkError> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.envelopes.get(index))
            .cloned()
            .ok_or_else(|| LinkError::new("publication", "is not in the table"))
    }
}

/// The caps were checked by the connection point, perhaps under other settings than the defaults.
fn trusted() -> PublicationLimits {
    PublicationLimits {
        id_bytes_max: usize::MAX,
        payload_bytes_max: usize::MAX,
        content_type_bytes_max: usize::MAX,
        attributes: AttributeLimits {
            count_max: usize::MAX,
            name_bytes_max: usize::MAX,
            value_bytes_max: usize::MAX,
            array_elements_max: usize::MAX,
        },
    }
}
