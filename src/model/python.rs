/// A Python literal as `repr` writes it: how exporters store lists and dictionaries in a graph's metadata.
///
/// A crate for this exists (`py_literal`), but it brings a parser generator and, below that, assembly code.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(f64),
    Truth(bool),
    None,
    List(Vec<Literal>),
    Dictionary(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The literal that `text` is; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { rest: text };
        let literal = parser.literal(16)?;
        parser.skip();
        parser.rest.is_empty().then_some(literal)
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Literal::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number from 0 on.
    pub(super) fn whole(&self) -> Option<u32> {
        match self {
            Literal::Number(n) if *n >= 0.0 && *n <= f64::from(u32::MAX) && n.fract() == 0.0 => Some(*n as u32),
            _ => None,
        }
    }

    /// The value of a dictionary's key.
    pub(super) fn get(&self, key: &str) -> Option<&Literal> {
        let Literal::Dictionary(items) = self else { return None };
        items.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, what: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        for (word, literal) in
            [("True", Literal::Truth(true)), ("False", Literal::Truth(false)), ("None", Literal::None)]
        {
            if self.eat(word) {
                return Some(literal);
            }
        }
        if self.eat("{") {
            let mut items = Vec::new();
            while !self.eat("}") {
                let key = self.literal(depth)?;
                let value = if self.eat(":") { self.literal(depth)? } else { return None };
                items.push((key, value));
                if !self.eat(",") {
                    return self.eat("}").then_some(Literal::Dictionary(items));
                }
            }
            return Some(Literal::Dictionary(items));
        }
        for (open, close) in [("[", "]"), ("(", ")")] {
            if self.eat(open) {
                let mut items = Vec::new();
                while !self.eat(close) {
                    items.push(self.literal(depth)?);
                    if !self.eat(",") {
                        return self.eat(close).then_some(Literal::List(items));
                    }
                }
                return Some(Literal::List(items));
            }
        }
        match self.rest.chars().next()? {
            quote @ ('\'' | '"') => self.string(quote).map(Literal::Text),
            _ => {
                let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'));
                let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                number.parse().ok().map(Literal::Number)
            }
        }
    }

    fn string(&mut self, quote: char) -> Option<String> {
        let mut chars = self.rest[1..].chars();
        let mut text = String::new();
        loop {
            match chars.next()? {
                c if c == quote => break,
                '\\' => {
                    let escape = chars.next()?;
                    let mut code = |digits: usize| {
                        let hex: String = chars.by_ref().take(digits).collect();
                        char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
                    };
                    let escaped = match escape {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'x' => code(2)?,
                        'u' => code(4)?,
                        'U' => code(8)?,
                        c @ ('\\' | '\'' | '"') => c,
                        _ => return None,
                    };
                    text.push(escaped);
                }
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_exporters_write() {
        // print({0: 'open', 1: "operator's mark", 2: '2" operator\'s\n', 3: 'Öl', 4: '\x7f\u200b'})
        let text = r#"{0: 'open', 1: "operator's mark", 2: '2" operator\'s\n', 3: 'Öl', 4: '\x7f\u200b'}"#;
        let Some(Literal::Dictionary(items)) = Literal::parse(text) else { panic!("a dictionary") };
        let names: Vec<_> = items.iter().map(|(k, v)| (k.whole().unwrap(), v.text().unwrap())).collect();
        let want = [(0, "open"), (1, "operator's mark"), (2, "2\" operator's\n"), (3, "Öl"), (4, "\u{7f}\u{200b}")];
        assert_eq!(names, want);
        let list = |numbers: &[f64]| Some(Literal::List(numbers.iter().map(|&n| Literal::Number(n)).collect()));
        assert_eq!(Literal::parse("[160, 192]"), list(&[160.0, 192.0]));
        assert_eq!(Literal::parse("(1,)"), list(&[1.0]));
        assert_eq!(Literal::parse("[]"), list(&[]));
        let args = Literal::parse("{'batch': 1, 'nms': True, 'fraction': 1.0, 'data': None}").unwrap();
        assert_eq!(args.get("nms"), Some(&Literal::Truth(true)));
        assert_eq!((args.get("data"), args.get("half")), (Some(&Literal::None), None));
        for bad in ["", "{", "[1 2]", "{1}", "'open", "name", "[1] 2", r"'\q'", r"'\ud800'", "__import__('os')"] {
            assert_eq!(Literal::parse(bad), None, "{bad}");
        }
        assert_eq!(Literal::parse(&"[".repeat(100_000)), None, "nesting is bounded");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[\[\]{}()'"\\,: 0-9a-zTFNé]{0,40}"#) {
            let _ = Literal::parse(&text);
        }
    }
}
