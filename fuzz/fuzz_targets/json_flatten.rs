//! Any bytes: they flatten exactly if they are JSON within the caps, and what comes out keeps the caps.

#![no_main]

use gomera_model::{AttributeLimits, FlattenError, FlattenLimits, attributes_from_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let attributes = AttributeLimits { count_max: 8, name_bytes_max: 12, value_bytes_max: 16, array_elements_max: 4 };
    for limits in [FlattenLimits::default(), FlattenLimits { bytes_max: 4_096, depth_max: 4, attributes }] {
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let is_json = serde_json::from_slice::<serde_json::Value>(text).is_ok();
        match attributes_from_json(bytes, &limits) {
            Ok(found) => {
                assert!(is_json);
                assert_eq!(found.check(&limits.attributes), Ok(()));
                assert!(found.iter().is_sorted_by(|left, right| left.0 < right.0));
                // What comes out is JSON again, and flattens: numbers, strings, points and arrays stay what they are.
                serde_json::to_string(&found).expect("attributes are JSON");
            }
            Err(error) => {
                assert!(!matches!(error, FlattenError::Syntax { .. }) || !is_json);
                let message = error.to_string();
                assert!(message.len() < 1_500 && !message.contains(char::is_control), "{message:?}");
            }
        }
    }
});
