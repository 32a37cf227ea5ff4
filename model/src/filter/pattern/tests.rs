//! Claims about patterns.

use super::*;

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
    assert_eq!(escaped("ab\\c", ""), Err(LikePatternError { escape: '\\', position: 3 }));
    assert_eq!(escaped("ab\\", ""), Err(LikePatternError { escape: '\\', position: 3 }));
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
fn patterns_that_make_backtracking_matchers_explode_are_answered_at_once() {
    let text = "a".repeat(20_000);
    assert!(!like(&"%a".repeat(40).replace("a", "aa_"), &format!("{}b", "a".repeat(50))));
    assert!(!like(&format!("{}b", "%a".repeat(100)), &text));
    assert!(!like(&format!("{}b%", "%a_".repeat(100)), &text));
    let regex = RegexPattern::new("^(a+)+$", &FilterLimits::default()).expect("a regex");
    assert!(!regex.is_match(&format!("{text}b")));
}

#[test]
fn a_regular_expression_over_the_cap_or_badly_written_says_so() {
    let limits = FilterLimits::default();
    let error = RegexPattern::new("(?:[a-z]{1,100}){1,100}{1,100}", &limits).expect_err("too big");
    assert!(error.to_string().contains("filter.regex_bytes_max = 262144"), "{error}");
    let error = RegexPattern::new("a(b", &limits).expect_err("unclosed");
    assert_eq!(error, RegexPatternError::Syntax("unclosed group".to_owned()));
    assert!(RegexPattern::new(&"(".repeat(1_000), &limits).is_err());
    assert!(RegexPattern::new(r"^(?i)\w+@[\p{L}\d.-]+$", &limits).is_ok());
}
