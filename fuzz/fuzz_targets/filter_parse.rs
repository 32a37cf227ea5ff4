//! Any text: the parser answers or says where it is wrong; what it reads prints back to itself, and its normal form
//! comes to the same on a publication that holds something of every type.

#![no_main]

use std::sync::LazyLock;

use gomera_model::filter::Nothing;
use gomera_model::{Attributes, Filter, FilterLimits, FlattenLimits, attributes_from_json, evaluate, normalise};
use libfuzzer_sys::fuzz_target;

/// One-letter names, which a fuzzer finds soon.
static PUBLICATION: LazyLock<Attributes> = LazyLock::new(|| {
    let json = r#"{"a":1,"b":2.5,"c":"text","d":true,"e":[1,"x",2.0],"f":{"type":"Point","coordinates":[-3.8,43.4]},
        "g":"2024-05-17T08:30:00Z","h":9223372036854775807,"i":{"j":-1},"k":[]}"#;
    attributes_from_json(json.as_bytes(), &FlattenLimits::default()).expect("JSON that flattens")
});

fuzz_target!(|text: &str| {
    match Filter::parse(text, &FilterLimits::default()) {
        Ok(filter) => {
            let printed = filter.to_string();
            let again = Filter::parse(&printed, &FilterLimits::trusted()).expect("canonical text is a filter");
            assert_eq!(again, filter, "{printed}");
            let normal = normalise(&filter);
            assert_eq!(normalise(&normal), normal, "{printed} became {normal}");
            assert!(filter.bytes() < 4 << 20);
            for (publication, context) in [(&*PUBLICATION, &*PUBLICATION), (&Attributes::default(), &*PUBLICATION)] {
                let truth = evaluate(&filter, publication, context);
                assert_eq!(evaluate(&normal, publication, context), truth, "{printed} became {normal}");
            }
            assert_eq!(evaluate(&filter, &Nothing, &Nothing), evaluate(&normal, &Nothing, &Nothing));
            let structured = Filter::from_expression(filter.expression().clone(), &FilterLimits::trusted());
            assert_eq!(structured.as_ref(), Ok(&filter));
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset));
            let caret = error.caret(text);
            let (line, under) = caret.split_once('\n').expect("two lines");
            assert!(line.chars().all(|character| character == '\t' || !character.is_control()), "{line:?}");
            assert!(under.trim_start_matches(['\t', ' ']) == "^", "{under:?}");
            let message = error.to_string();
            assert!(message.len() < 500 && !message.contains(char::is_control), "{message:?}");
        }
    }
});
