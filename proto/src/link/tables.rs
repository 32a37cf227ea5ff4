//! What the frames of a batch share: tenants, publishers, publications, each once.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gomera_cluster::address::Layer;
use gomera_cluster::identity::{Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey, SystemAttributes};
use gomera_cluster::table::{Seeded, Table};
use gomera_model::attributes::AttributeLimits;
use gomera_model::publication::PublicationLimits;
use gomera_model::timestamp::Timestamp;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::{LinkError, needs_attributes, parts, v1};
use crate::publication::PublicationReader;

/// Encodes batches of one link. Its tables keep their room from one batch to the next.
#[derive(Debug)]
pub struct Encoder {
    tenants: Vec<Tenant>,
    publishers: Vec<v1::Publisher>,
    /// The keys are hashes or addresses: no seed is needed.
    publisher_indices: Table<(PublisherKey, Instance), u32>,
    envelopes: v1::Envelopes,
    contents: Vec<Bytes>,
    contents_bytes: usize,
    /// By address: the frames hold the envelopes while the batch is made.
    envelope_indices: HashMap<usize, u32, Seeded>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            publishers: Vec::new(),
            publisher_indices: Table::with_hasher(Seeded::new(0)),
            envelopes: v1::Envelopes::default(),
            contents: Vec::new(),
            contents_bytes: 0,
            envelope_indices: HashMap::with_hasher(Seeded::new(0)),
        }
    }
}

impl Encoder {
    pub(super) fn tenant(&mut self, tenant: &Tenant) -> u32 {
        // Few tenants share a batch, and one follows itself most of the time.
        if let Some(index) = self.tenants.iter().rposition(|known| known == tenant) {
            return count(index);
        }
        self.tenants.push(tenant.clone());
        count(self.tenants.len() - 1)
    }

    pub(super) fn envelope(&mut self, envelope: &Arc<Envelope>) -> u32 {
        let address = Arc::as_ptr(envelope).addr();
        let index = count(self.contents.len());
        match self.envelope_indices.entry(address) {
            hash_map::Entry::Occupied(entry) => return *entry.get(),
            hash_map::Entry::Vacant(entry) => entry.insert(index),
        };
        let publisher = self.publisher(envelope);
        let columns = &mut self.envelopes;
        columns.publishers.push(publisher);
        columns.sequences.push(envelope.key.sequence.0);
        columns.accepted_at.push(envelope.accepted_at.0);
        columns.lengths.push(count(envelope.content.len()));
        if let Some(expires_at) = envelope.expires_at {
            columns.expiring.push(index);
            columns.expires_at.push(expires_at.0);
        }
        self.contents_bytes += envelope.content.len();
        self.contents.push(envelope.content.clone());
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

    pub(super) fn finish(&mut self, frames: Vec<v1::Frame>) -> Bytes {
        let mut batch = v1::Batch {
            tenants: self.tenants.drain(..).map(|tenant| tenant.0.as_ref().to_owned()).collect(),
            publishers: std::mem::take(&mut self.publishers),
            envelopes: Some(std::mem::take(&mut self.envelopes)),
            frames,
            contents: Bytes::new(),
        };
        // The last field is written by hand, so that the contents are copied once.
        let contents = self.contents_bytes;
        let length = batch.encoded_len() + key_len(CONTENTS_FIELD) + encoded_len_varint(wide(contents)) + contents;
        let mut bytes = BytesMut::with_capacity(length);
        batch.encode_raw(&mut bytes);
        encode_key(CONTENTS_FIELD, WireType::LengthDelimited, &mut bytes);
        encode_varint(wide(contents), &mut bytes);
        for content in self.contents.drain(..) {
            bytes.extend_from_slice(&content);
        }
        debug_assert_eq!(bytes.len(), length, "the room asked for is the room used");

        self.publishers = std::mem::take(&mut batch.publishers);
        self.publishers.clear();
        self.envelopes = batch.envelopes.take().expect("given above");
        clear(&mut self.envelopes);
        self.contents_bytes = 0;
        self.publisher_indices.clear();
        self.envelope_indices.clear();
        bytes.freeze()
    }
}

/// `Batch.contents`.
const CONTENTS_FIELD: u32 = 5;

fn clear(columns: &mut v1::Envelopes) {
    let v1::Envelopes { publishers, sequences, accepted_at, lengths, expiring, expires_at } = columns;
    publishers.clear();
    sequences.clear();
    accepted_at.clear();
    lengths.clear();
    expiring.clear();
    expires_at.clear();
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a usize fits 64 bits")
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

/// A row of `v1::Envelopes`.
struct Header {
    publisher: u32,
    sequence: Sequence,
    accepted_at: Timestamp,
    expires_at: Option<Timestamp>,
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
        envelopes: v1::Envelopes,
        contents: Bytes,
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
        self.read_envelopes(&envelopes, contents)
    }

    fn read_envelopes(&mut self, columns: &v1::Envelopes, mut contents: Bytes) -> Result<(), LinkError> {
        let count = columns.publishers.len();
        let lengths = [columns.sequences.len(), columns.accepted_at.len(), columns.lengths.len()];
        if lengths != [count; 3] || columns.expiring.len() != columns.expires_at.len() {
            return Err(LinkError::new("publications", "have columns of different lengths"));
        }
        self.envelopes.reserve(count);
        let mut expiring = columns.expiring.iter().zip(&columns.expires_at).peekable();
        for place in 0..count {
            let length = columns.lengths[place];
            let content = usize::try_from(length)
                .ok()
                .filter(|&length| length <= contents.len())
                .map(|length| contents.split_to(length))
                .ok_or_else(|| LinkError::new("content", "is longer than the batch"))?;
            let expires_at = expiring
                .next_if(|&(&index, _)| usize::try_from(index) == Ok(place))
                .map(|(_, &expires_at)| Timestamp(expires_at));
            let header = Header {
                publisher: columns.publishers[place],
                sequence: Sequence(columns.sequences[place]),
                accepted_at: Timestamp(columns.accepted_at[place]),
                expires_at,
            };
            let envelope = self.read(header, content)?;
            self.envelopes.push(Arc::new(envelope));
        }
        match expiring.next() {
            Some(_) => Err(LinkError::new("what expires", "is not a publication of the batch, in order")),
            None => Ok(()),
        }
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

    fn read(&mut self, header: Header, content: Bytes) -> Result<Envelope, LinkError> {
        let publisher = usize::try_from(header.publisher)
            .ok()
            .and_then(|index| self.publishers.get(index))
            .ok_or_else(|| LinkError::new("publisher", "is not in the table"))?;
        let attributes = if needs_attributes(self.layer) {
            let decoded = self.reader.decode(&content).map_err(|error| LinkError::new("content", error.to_string()))?;
            let time = decoded.time.unwrap_or(header.accepted_at);
            AttributeBlock::Decoded(self.system.stamp(decoded.attributes, &publisher.name, time))
        } else {
            AttributeBlock::Encoded
        };
        Ok(Envelope {
            tenant: publisher.tenant.clone(),
            publisher: publisher.name.clone(),
            key: PublicationKey { publisher: publisher.key, instance: publisher.instance, sequence: header.sequence },
            accepted_at: header.accepted_at,
            expires_at: header.expires_at,
            content,
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
