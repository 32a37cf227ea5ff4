//! Any bytes: reading them never fails but with an error, what comes out keeps the caps and is read again from what is written
//! of it, and what prost makes of them is read as prost has it.

#![no_main]

use bytes::Bytes;
use gomera_model::PublicationLimits;
use gomera_proto::publication::{DecodeError, decode_publication, encode_publication, read_publication};
use gomera_proto::v1;
use gomera_proto::value::attributes;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let limits = PublicationLimits::default();
    let content = Bytes::copy_from_slice(bytes);
    // prost takes some bytes that protobuf does not allow (a map with another wire type): what it writes is always right.
    if let Ok(wire) = v1::Publication::decode(bytes) {
        match decode_publication(&wire.encode_to_vec(), &limits) {
            Ok(decoded) if !wire.attributes.is_empty() => {
                assert_eq!(Ok(decoded.attributes), attributes(wire.attributes, limits.attributes));
            }
            Ok(_) => {}
            Err(error) => assert!(!matches!(error, DecodeError::Malformed(_)), "{error}"),
        }
    }
    match read_publication(&content, &limits) {
        Ok(publication) => {
            assert_eq!(publication.validate(&limits), Ok(()));
            let again = encode_publication(&publication);
            let back = read_publication(&again, &limits).expect("what is written can be read");
            // A payload that became attributes has them written beside it.
            assert_eq!(back, publication);
            let decoded = decode_publication(bytes, &limits).expect("the same bytes");
            assert_eq!(decoded.attributes, publication.attributes);
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() < 100_000, "{message}");
        }
    }
});
