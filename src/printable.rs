use std::borrow::Cow;

/// Text for a person to read: characters that act on a terminal, an editor or a table (controls, C1, and those that
/// turn the direction of text or end its line) are shown as Rust writes them, `\u{1b}` or `\n`. Names of files can hold
/// any of them, and are data.
///
/// ```
/// assert_eq!(panelqc::printable("cell\u{1b}[31m\u{202e}gnp.png"), "cell\\u{1b}[31m\\u{202e}gnp.png");
/// assert_eq!(panelqc::printable("Blende ½, größer"), "Blende ½, größer");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, acts, |c, out| out.extend(c.escape_default()))
}

/// The same JSON with such characters as `\uXXXX`: any reader gets the same strings from it. JSON itself asks that of
/// the first 32 only.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // Below the space they are between values, not in them.
    replaced(json, |c| c > ' ' && acts(c), |c, out| out.push_str(&format!("\\u{:04x}", u32::from(c))))
}

/// Whether a character does something other than being seen.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn replaced(text: &str, which: fn(char) -> bool, with: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(which) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| if which(c) { with(c, &mut out) } else { out.push(c) });
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_letters_of_all_scripts_stay() {
        for (text, shown) in [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{7}\u{7f}\u{9b}2J", "\\u{7}\\u{7f}\\u{9b}2J"),
            ("\u{202e}\u{2066}\u{2028}\u{feff}", "\\u{202e}\\u{2066}\\u{2028}\\u{feff}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        for text in ["", r"C:\panels\a.png", "面板 ½ é", "می\u{200c}خواهم"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = "a\u{9b}\u{202e}\u{2028}\u{1b}\n";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let safe = printable_json(&json);
        assert!(safe.contains(r"\u009b\u202e\u2028\u001b") && safe.lines().count() == 3, "{safe}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [text]);
    }
}
