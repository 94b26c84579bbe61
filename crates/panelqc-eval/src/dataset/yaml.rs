//! YAML as data sets have it, read into a tree whose depth and size are bounded whatever the text says.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// The deepest nesting.
const DEEPEST: usize = 32;
/// The most that a tree may weigh, about its bytes in memory: a node and its text. An alias weighs what it repeats.
const HEAVIEST: usize = 64 << 20;
/// What a node weighs without its text.
const NODE: usize = 100;
const TOO_MUCH: &str = "too much text, or aliases that repeat too much";

/// A node with the line, from 1, that it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
    weight: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Anything else that is no list and no map, as it is written.
    Text(String),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<(String, Node)>),
}

/// A list or map that is being read, with its anchor (0 for none).
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<String>,
}

impl Node {
    /// The first document of a text; line and what is wrong otherwise.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut parser = Parser::new_from_str(text);
        let mut anchors: HashMap<usize, Node> = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        let mut weight = 0;
        loop {
            let (event, mark) = parser.next_token().map_err(|e| (e.marker().line(), e.to_string()))?;
            let line = mark.line();
            let (node, anchor) = match event {
                Event::Scalar(text, style, anchor, _) => {
                    weight += NODE + text.len();
                    (Node::scalar(text, style, &mark), anchor)
                }
                Event::Alias(anchor) => {
                    let node = anchors.get(&anchor).ok_or_else(|| (line, "an alias of nothing".to_owned()))?;
                    weight += node.weight;
                    if weight > HEAVIEST {
                        return Err((line, TOO_MUCH.to_owned()));
                    }
                    (Node { line, ..node.clone() }, 0)
                }
                Event::SequenceStart(anchor, _) => {
                    Open::push(&mut open, line, Value::List(Vec::new()), anchor)?;
                    continue;
                }
                Event::MappingStart(anchor, _) => {
                    Open::push(&mut open, line, Value::Map(Vec::new()), anchor)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(done) => {
                        weight += NODE;
                        (done.node, done.anchor)
                    }
                    None => continue,
                },
                Event::StreamEnd => return Ok(Node { line: 1, value: Value::Null, weight: NODE }),
                Event::Nothing | Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => continue,
            };
            if anchor != 0 {
                weight += node.weight;
                anchors.insert(anchor, node.clone());
            }
            if weight > HEAVIEST {
                return Err((line, TOO_MUCH.to_owned()));
            }
            match open.last_mut() {
                Some(last) => last.add(node)?,
                None => return Ok(node),
            }
        }
    }

    fn scalar(text: String, style: TScalarStyle, mark: &Marker) -> Self {
        let null = style == TScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_str());
        let weight = NODE + text.len();
        Node { line: mark.line(), value: if null { Value::Null } else { Value::Text(text) }, weight }
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a node that is neither a list nor a map.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list, or the one text that stands in its place.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        match &self.value {
            Value::List(nodes) => nodes.iter().map(Node::text).collect(),
            _ => self.text().map(|text| vec![text]),
        }
    }
}

impl Open {
    fn push(open: &mut Vec<Open>, line: usize, value: Value, anchor: usize) -> Result<(), (usize, String)> {
        if open.len() >= DEEPEST {
            return Err((line, format!("nesting of more than {DEEPEST} levels")));
        }
        open.push(Open { node: Node { line, value, weight: NODE }, anchor, key: None });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), (usize, String)> {
        let line = node.line;
        self.node.weight += node.weight;
        match &mut self.node.value {
            Value::List(nodes) => nodes.push(node),
            Value::Map(pairs) => match self.key.take() {
                Some(key) => pairs.push((key, node)),
                None => match node.value {
                    Value::Text(key) => self.key = Some(key),
                    Value::Null => self.key = Some(String::new()),
                    _ => return Err((line, "a key that is a list or a map".to_owned())),
                },
            },
            Value::Null | Value::Text(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_its_lines() {
        let node = Node::parse("# set\nnames:\n  0: open\n  1: 'null'\nval: &v [a, ~]\ntest: *v\nnc: 2\n").unwrap();
        let names = node.get("names").unwrap();
        assert_eq!((names.line, names.get("0").unwrap().text()), (3, Some("open")));
        assert_eq!((names.get("1").unwrap().text(), node.get("nc").unwrap().text()), (Some("null"), Some("2")));
        assert_eq!(node.get("val").unwrap().value, node.get("test").unwrap().value);
        assert_eq!((node.get("none"), node.get("val").unwrap().texts()), (None, None), "null is no text");
        assert_eq!(node.get("nc").unwrap().texts(), Some(vec!["2"]));
        assert_eq!(Node::parse("").unwrap().value, Value::Null);
    }

    #[test]
    fn hostile_texts_are_refused_and_cost_little() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let alias = format!("*a{}", i - 1);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![alias; 10].join(", ")));
        }
        let (line, problem) = Node::parse(&bomb).unwrap_err();
        assert!((2..12).contains(&line) && problem.contains("repeat too much"), "{line}: {problem}");
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
        assert!(Node::parse(&long).unwrap_err().1.contains("repeat too much"));
        for nested in ["- ".repeat(100_000), "[".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(100_000)] {
            assert!(Node::parse(&nested).is_err());
        }
        let deep: String = (0..100).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(Node::parse(&deep).unwrap_err().1.contains("nesting"));
        for broken in ["a: *b", "a: [", "[a]: b", "a: 'b"] {
            assert!(Node::parse(broken).is_err(), "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_much(text in "[-?:,\\[\\]{}#&*!|>'\"%@`a0 \\n\\t\u{feff}ä]{0,60}") {
            drop(Node::parse(&text));
        }
    }
}
