use panelqc::Kind;
use panelqc_eval::dataset::Label;

use super::HtmlLabel;

impl From<&Label> for HtmlLabel {
    fn from(label: &Label) -> Self {
        let mut shown = HtmlLabel::new(label.is_defective());
        match label {
            Label::Boxes(truths) => shown.boxes = truths.iter().map(|t| (t.kind.clone(), t.bbox)).collect(),
            Label::Kinds(kinds) => {
                let names: Vec<_> = kinds.iter().map(Kind::as_str).collect();
                shown.text = (!names.is_empty()).then(|| names.join(", "));
            }
            Label::Probability(p) => shown.text = Some(format!("defective with probability {p:.2}")),
            // A kind of label that this version does not know: good or defective is all that can be said.
            _ => {}
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use panelqc::PixelBox;
    use panelqc_eval::dataset::Truth;

    use super::*;

    #[test]
    fn every_label_says_what_it_knows() {
        let shown = |label: Label| HtmlLabel::from(&label);
        let bbox = PixelBox::new(1.0, 2.0, 3.0, 4.0);
        let boxes = shown(Label::Boxes(vec![Truth::new("open".into(), bbox)]));
        assert_eq!((boxes.defective, boxes.text, boxes.boxes), (true, None, vec![("open".into(), bbox)]));
        let kinds = shown(Label::Kinds(BTreeSet::from(["short".into(), "open".into()])));
        assert_eq!((kinds.defective, kinds.text.as_deref()), (true, Some("open, short")));
        assert_eq!(shown(Label::Kinds(BTreeSet::new())), HtmlLabel::new(false));
        let unsure = shown(Label::Probability(0.33));
        assert_eq!((unsure.defective, unsure.text.as_deref()), (false, Some("defective with probability 0.33")));
    }
}
