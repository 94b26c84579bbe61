//! XML as labels have it: elements with text, read into a tree in one pass. Attributes are not needed.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::text::Lines;

/// The deepest nesting.
const DEEPEST: usize = 64;
/// The most elements of a file.
const MOST: usize = 1_000_000;

/// An element with the line, from 1, that it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) line: usize,
    /// Its own text, not that of its children.
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root of a text; line and what is wrong otherwise.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut reader = Reader::from_str(text);
        let mut lines = Lines::new(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        let mut count = 0;
        loop {
            let at = reader.buffer_position() as usize;
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(e) => return Err((lines.at(reader.error_position() as usize), e.to_string())),
            };
            let (start, ends) = match event {
                Event::Start(start) => (start, false),
                Event::Empty(start) => (start, true),
                Event::End(_) => {
                    close(&mut open, &mut root);
                    continue;
                }
                Event::Eof => break,
                Event::Text(text) => {
                    add(&mut open, &text.xml10_content()).map_err(|problem| (lines.at(at), problem))?;
                    continue;
                }
                Event::CData(text) => {
                    add(&mut open, &text.xml10_content()).map_err(|problem| (lines.at(at), problem))?;
                    continue;
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|e| (lines.at(at), e.to_string()))?;
                    let mut buffer = [0; 4];
                    let text = match character {
                        Some(character) => Some(&*character.encode_utf8(&mut buffer)),
                        None => resolve_xml_entity(&reference),
                    };
                    let text = text.ok_or_else(|| (lines.at(at), format!("the unknown entity `&{};`", &*reference)))?;
                    add(&mut open, text).map_err(|problem| (lines.at(at), problem))?;
                    continue;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            let line = lines.at(at);
            count += 1;
            if open.len() >= DEEPEST || count > MOST {
                return Err((line, format!("more than {DEEPEST} levels or {MOST} elements")));
            }
            if root.is_some() {
                return Err((line, "a second root element".to_owned()));
            }
            let name = start.name().into_inner().to_owned();
            open.push(Element { name, line, text: String::new(), children: Vec::new() });
            if ends {
                close(&mut open, &mut root);
            }
        }
        match (open.last(), root) {
            (Some(element), _) => Err((lines.at(text.len()), format!("no end of <{}>", element.name))),
            (None, None) => Err((1, "no element".to_owned())),
            (None, Some(root)) => Ok(root),
        }
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children(name).next()
    }

    /// The children of this name, in the order of the text.
    pub(super) fn children(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Its text without the space around it; `None` for nothing.
    pub(super) fn text(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }
}

/// Ends the innermost element.
fn close(open: &mut Vec<Element>, root: &mut Option<Element>) {
    let Some(done) = open.pop() else { return };
    match open.last_mut() {
        Some(parent) => parent.children.push(done),
        None => *root = Some(done),
    }
}

/// Adds text to the innermost element.
fn add(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside of the root element".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_with_its_lines() {
        let text = "<?xml version=\"1.0\"?>\n<!-- by hand --><a x=\"1\">\n <b> spur &amp; &#228; <![CDATA[<dirt>]]></b>\n\
                    <b/><c>\n</c></a>\n";
        let root = Element::parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.line, root.text()), ("a", 2, None));
        let b: Vec<_> = root.children("b").map(|b| (b.line, b.text())).collect();
        assert_eq!(b, [(3, Some("spur & ä <dirt>")), (4, None)]);
        assert_eq!((root.child("c").unwrap().line, root.child("d")), (4, None));
    }

    #[test]
    fn what_is_not_well_formed_is_named_with_its_line() {
        for (text, at) in [
            ("<a>\n<b></a>", 2),
            ("<a>\n<b>\n", 3),
            ("<a/>\n<b/>", 2),
            ("<a/>\nb", 1),
            ("<a>\n&none;</a>", 2),
            ("<a>\n& b</a>", 2),
            ("<a>\n<b x=\"1></b></a>", 2),
            ("</a>", 1),
            ("", 1),
            ("no xml", 1),
        ] {
            let (line, problem) = Element::parse(text).unwrap_err();
            assert_eq!(line, at, "{text:?}: {problem}");
        }
    }

    #[test]
    fn hostile_texts_cost_little() {
        let deep = "<a>".repeat(100_000);
        assert!(Element::parse(&deep).unwrap_err().1.contains("levels"));
        let many = format!("<a>{}</a>", "<b>\n</b>".repeat(200_000));
        assert_eq!(Element::parse(&many).unwrap().children("b").count(), 200_000);
        let more = format!("<a>{}</a>", "<b/>".repeat(MOST));
        assert!(Element::parse(&more).unwrap_err().1.contains("elements"));
        let attributes: String = (0..200_000).map(|i| format!(" a{i}='1'")).collect();
        assert!(Element::parse(&format!("<a{attributes}/>")).is_ok());
        let entities = "<!DOCTYPE a [<!ENTITY x \"xx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        assert!(Element::parse(entities).unwrap_err().1.contains("unknown entity"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_much(text in "(<a>|</a>|<b|/>|<|>|&amp;|&#|&|;|x|=|\"|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?xml|\\?>|ä|\n){0,30}") {
            drop(Element::parse(&text));
        }
    }
}
