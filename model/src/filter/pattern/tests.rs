//! Claims about patterns.

use super::*;
use crate::filter::limits::FilterLimits;

fn like(pattern: &str, text: &str) -> bool {
    LikePattern::new(pattern, None).expect("a pattern").is_match(text)
}

/// The definition, by trying every way: exponential, for short inputs only.
fn like_by_definition(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| like_by_definition(rest, &text[skip..])),
        Some(('_', rest)) => !text.is_empty() && like_by_definition(rest, &text[1..]),
        Some((character, rest)) => text.first() == Some(character) && like_by_definition(rest, &text[1..]),
    }
}

/// All words of up to `length` letters.
fn words(alphabet: &[char], length: usize) -> Vec<Vec<char>> {
    let mut all = vec![vec![]];
    let mut start = 0;
    for _ in 0..length {
        let end = all.len();
        for index in start..end {
            for letter in alphabet {
                let mut word = all[index].clone();
                word.push(*letter);
                all.push(word);
            }
        }
        start = end;
    }
    all
}

#[test]
fn like_agrees_with_its_definition_on_all_short_patterns_and_texts() {
    let texts = words(&['a', 'ä'], 5);
    let mut matched = 0_usize;
    for pattern in words(&['a', 'ä', '%', '_'], 5) {
        let compiled = LikePattern::new(pattern.iter().collect::<String>(), None).expect("a pattern");
        for text in &texts {
            let expected = like_by_definition(&pattern, text);
            matched += usize::from(expected);
            let text: String = text.iter().collect();
            assert_eq!(compiled.is_match(&text), expected, "{pattern:?} on {text:?}");
        }
    }
    assert!(matched > 1_000);
}

#[test]
fn like_counts_characters_not_bytes() {
    assert!(like("_", "ß"));
    assert!(like("_", "🌧"));
    assert!(!like("__", "ß"));
    assert!(like("%_🌧_%", "xß🌧ßx"));
}

#[test]
fn the_escape_character_makes_wildcards_plain() {
    let escaped = |pattern: &str, text: &str| LikePattern::new(pattern, Some('\\')).map(|p| p.is_match(text));
    assert_eq!(escaped("\\_%", "_foo"), Ok(true));
    assert_eq!(escaped("\\_%", "bar"), Ok(false));
    assert_eq!(escaped("100\\%", "100%"), Ok(true));
    assert_eq!(escaped("100\\%", "1000"), Ok(false));
    assert_eq!(escaped("a\\\\b", "a\\b"), Ok(true));
    assert_eq!(escaped("ab\\c", ""), Err(LikePatternError::Escape { escape: '\\', position: 3 }));
    assert_eq!(escaped("ab\\", ""), Err(LikePatternError::Escape { escape: '\\', position: 3 }));
}

#[test]
fn a_wildcard_may_itself_be_the_escape_character() {
    let pattern = LikePattern::new("a%%_", Some('%')).expect("a pattern");
    assert!(pattern.is_match("a%b"));
    assert!(!pattern.is_match("axb"));
}

#[test]
fn simple_patterns_are_known_as_such() {
    let pattern = |text: &str| LikePattern::new(text, None).expect("a pattern");
    assert_eq!(pattern("abc").as_literal(), Some("abc"));
    assert_eq!(pattern("abc%").as_prefix(), Some("abc"));
    assert_eq!(pattern("%abc").as_suffix(), Some("abc"));
    assert_eq!(pattern("%").as_prefix(), Some(""));
    for text in ["a_c", "a%c", "_%", "%_", "%a%"] {
        let pattern = pattern(text);
        assert_eq!((pattern.as_literal(), pattern.as_prefix(), pattern.as_suffix()), (None, None, None), "{text}");
    }
}

#[test]
fn no_pattern_is_slow() {
    let text = "a".repeat(20_000);
    let mut pieces = "%".to_owned();
    for length in 1..64 {
        pieces += &format!("{}%", "a_".repeat(32)[..length].to_owned() + "_");
    }
    // Quadratic if each place of the text were tried: 0.4 s for the longest piece alone.
    for _ in 0..20 {
        assert!(like(&pieces, &text));
        assert!(!like(&format!("{pieces}b%"), &text));
    }
    assert!(!like(&"%a".repeat(40).replace('a', "aa_"), &"a".repeat(50)));
    assert!(!like(&format!("{}b", "%a".repeat(100)), &text));
    assert!(!like(&format!("{}b%", "%a_".repeat(100)), &text));
}

#[test]
fn a_long_piece_is_refused_only_where_it_must_be_looked_for() {
    let long = "a_".repeat(32);
    let refused = |pattern: &str| LikePattern::new(pattern, None).err();
    assert_eq!(refused(&format!("%{long}%")), None);
    assert_eq!(refused(&format!("%{long}b%")), Some(LikePatternError::PieceTooLong { characters: 65 }));
    for pattern in
        [format!("{long}{long}%"), format!("%{long}{long}"), format!("{long}{long}"), format!("%{}%", "a".repeat(999))]
    {
        assert_eq!(refused(&pattern), None, "{pattern}");
    }
    let edge = format!("%{}b%", "_".repeat(63));
    assert!(like(&edge, &format!("{}bc", "ä".repeat(63))));
    assert!(!like(&edge, &format!("{}bc", "ä".repeat(62))));
}

fn regex(text: &str) -> RegexPattern {
    RegexPattern::new(text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn regular_expressions_match_somewhere_and_know_unicode_but_for_the_perl_classes() {
    for (pattern, text, expected) in [
        ("b", "abc", true),
        ("^b", "abc", false),
        ("", "", true),
        ("^$", "", true),
        ("^$", "a", false),
        ("c$", "abc", true),
        ("(?m)^b$", "a\nb\nc", true),
        ("a.c", "a\nc", false),
        ("(?s)a.c", "a\nc", true),
        ("^.$", "ß", true),
        ("^.$", "🌧", true),
        ("^[^a]$", "é", true),
        ("(?i)ÉTÉ", "été", true),
        ("(?i)straße", "STRASSE", false),
        (r"^\p{Greek}+$", "λόγος", true),
        ("[à-ü]", "ñ", true),
        (r"^\d+$", "2024", true),
        (r"^\d+$", "٣", false),
        (r"^\w+$", "a_1", true),
        (r"^\w+$", "añ", false),
        (r"^\W$", "ñ", true),
        (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", "a.b-c@example.org", true),
        (r"^[^\s@]+$", "a b", false),
        (r"^[\d&&[^5]]+$", "1234", true),
        (r"^[\d&&[^5]]+$", "12345", false),
        (r"\bfire\b", "a fire!", true),
        (r"\bfire\b", "fired", false),
        (r"\Bir", "fire", true),
        (r"\b{start}fire\b{end}", "a fire!", true),
        (r"fire\b", "fireñ", true),
        (r"(?i)\bincendio|fuego\b", "FUEGO", true),
        ("(ab)+(?P<n>c|d)", "xababd", true),
        ("x*", "y", true),
    ] {
        assert_eq!(regex(pattern).is_match(text), expected, "{pattern} on {text}");
    }
}

#[test]
fn usual_expressions_make_small_automata() {
    for pattern in [
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        r"^\d{1,3}(\.\d{1,3}){3}$",
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$",
        r"(?i)(error|warn|fatal|critical).*(timeout|refused|reset|unreachable)",
        r"^urn:ngsi-ld:\w+:",
        r"(?i)^(calle|avenida|plaza)\s+\w+",
        r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$",
        ".*.*.*.*=.*x",
    ] {
        let bytes = regex(pattern).heap_bytes();
        assert!(bytes < 40_000, "{pattern} takes {bytes} bytes");
    }
}

#[test]
fn an_expression_whose_automaton_explodes_is_refused() {
    for pattern in [
        "(?:[a-z]{1,100}){1,100}{1,100}",
        "(a{1000}){1000}",
        "[01]*1[01]{500}x",
        "é{1000}x",
        "(?:[a-z]{1,30}){1,30}x",
        "a.{10}b",
        r"\pL{10}",
        "(((((a{0,50}){50}){50}){50}){50})",
    ] {
        let error = RegexPattern::new(pattern, &FilterLimits::default()).expect_err(pattern).to_string();
        assert!(
            error.contains("begin it with `^`, or repeat less); the cap is filter.regex_bytes_max = 262144"),
            "{error}"
        );
    }
    // Nothing repeated is nothing.
    assert!(regex("((a{0}){1000}){1000}").is_match("b"));
    assert!(!regex("^a.{10}b$").is_match("ab"));
}

#[test]
fn what_is_compiled_is_capped_for_a_whole_filter() {
    let limits = FilterLimits { regexes_max: 2, regex_text_bytes_max: 10, ..FilterLimits::default() };
    let mut compiler = RegexCompiler::new(&limits);
    assert!(compiler.compile("123456").is_ok());
    let error = compiler.compile("12345").expect_err("too much text").to_string();
    assert!(error.contains("11 bytes of text; the cap is filter.regex_text_bytes_max = 10"), "{error}");
    let mut compiler = RegexCompiler::new(&limits);
    assert!(compiler.compile("1").is_ok() && compiler.compile("2").is_ok());
    let error = compiler.compile("3").expect_err("too many").to_string();
    assert!(error.contains("the filter has 3 MATCHES; the cap is filter.regexes_max = 2"), "{error}");
}

#[test]
fn a_badly_written_expression_says_where() {
    for (pattern, reason) in [
        ("ä(b", "unclosed group (at its character 2)"),
        ("[z-a]", "invalid character class range"),
        ("a{", "(at its character"),
        ("(?=x)", "look-around"),
        (r"(a)\1", "backreferences are not supported (at its character 4)"),
        (r"x\p{Klingon}", "Unicode property not found (at its character 2)"),
        (r"(?-u)\xFF", "(at its character 6)"),
        (&format!("{}a{}", "(".repeat(60), ")".repeat(60)), "nest"),
    ] {
        let error = RegexPattern::new(pattern, &FilterLimits::default()).expect_err(pattern).to_string();
        assert!(error.starts_with("not a regular expression: ") && error.contains(reason), "{pattern}: {error}");
        assert!(error.len() < 200, "{error}");
    }
}

#[test]
fn a_part_is_found_where_the_standard_library_finds_it_in_texts_of_every_length() {
    let alphabet = ["a", "b", "ä", "🌧"];
    let mut state = 1_u64;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).expect("24 bits") % bound
    };
    let mut found = 0;
    for _ in 0..4_000 {
        let length = draw(300);
        let text: String = (0..length).map(|_| alphabet[draw(4)]).collect();
        let part: String = (0..=draw(6)).map(|_| alphabet[draw(4)]).collect();
        assert_eq!(find(&text, &part), text.find(&part), "{part} in {text}");
        assert_eq!(like(&format!("%{part}%"), &text), text.contains(&part));
        found += usize::from(text.contains(&part));
    }
    assert!((400..3_600).contains(&found), "{found}");
}
