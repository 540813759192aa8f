//! Writes SVG elements.

use std::fmt::Write;

/// An SVG image to which elements are added.
pub struct Svg {
    text: String,
}

/// Coordinates, from the left and from the top.
type Point = (f64, f64);

impl Svg {
    pub fn new(width: f64, height: f64, style: &str) -> Self {
        let mut svg = Self {
            text: String::new(),
        };
        svg.add(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
        ));
        svg.add(format_args!("<style>{style}</style>"));
        svg
    }

    /// Adds a text. `anchor` is the part of it that is at the point: `start`, `middle` or `end`.
    pub fn text(&mut self, (x, y): Point, class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    pub fn line(&mut self, (x1, y1): Point, (x2, y2): Point, class: &str) {
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    /// Adds a rectangle, given its top left corner and its size.
    pub fn rectangle(&mut self, (x, y): Point, (width, height): (f64, f64), class: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" class="{class}"/>"#
        ));
    }

    pub fn finish(mut self) -> String {
        self.add(format_args!("</svg>"));
        self.text
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_text() {
        let mut svg = Svg::new(10.0, 10.0, "");
        svg.text((1.0, 2.0), "note", "end", "a < b & c");
        let element =
            r#"<text x="1.0" y="2.0" class="note" text-anchor="end">a &lt; b &amp; c</text>"#;
        assert!(svg.finish().contains(element));
    }
}
