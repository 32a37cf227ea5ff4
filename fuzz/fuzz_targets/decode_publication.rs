//! Any bytes: they are read as a publication exactly if prost reads them and every part is valid, and what comes out keeps the
//! caps and is read again from what is written of it.

#![no_main]

use bytes::Bytes;
use gomera_model::PublicationLimits;
use gomera_proto::publication::{DecodeError, decode_publication, encode_publication, read_publication};
use gomera_proto::v1;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let limits = PublicationLimits::default();
    let content = Bytes::copy_from_slice(bytes);
    let by_prost = v1::Publication::decode(bytes);
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
        // Of a member given twice we read the last, prost merges both: only what prost reads must not be called malformed.
        Err(DecodeError::Malformed(_)) => assert!(by_prost.is_err()),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty());
        }
    }
});
