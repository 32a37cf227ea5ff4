//! Texts of others as error messages show them: cut, since errors travel in headers, which are small, and without what
//! would move the cursor, since they end up in terminals and logs.

/// Characters that are shown.
const CHARACTERS_MAX: usize = 40;

/// The beginning of `text`, controls escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(CHARACTERS_MAX));
    let mut characters = text.chars();
    for character in characters.by_ref().take(CHARACTERS_MAX) {
        if moves_cursor(character) {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Controls, and what turns the direction of writing.
pub(crate) fn moves_cursor(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    //! Claims about what is shown.

    use super::*;

    #[test]
    fn long_texts_are_cut_and_controls_escaped() {
        assert_eq!(shown("größe"), "größe");
        assert_eq!(shown("a\n\u{1b}[31m\u{202e}b"), "a\\n\\u{1b}[31m\\u{202e}b");
        assert_eq!(shown(&"ä".repeat(40)), "ä".repeat(40));
        assert_eq!(shown(&"ä".repeat(41)), format!("{}…", "ä".repeat(40)));
    }
}
