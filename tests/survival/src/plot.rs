//! Lines over time as SVG that needs nothing else: colours for light and dark pages, a legend, marks for events.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;
/// Points that a line is thinned to.
const POINTS_MAX: usize = 500;
const COLOURS: [&str; 6] = [
    "#1f6feb", "#d9730d", "#2a9d62", "#9b51e0", "#c2255c", "#0b7285",
];

/// A line with its name.
#[derive(Debug, Clone)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// Seconds, and values.
    pub points: Vec<(f64, f64)>,
}

/// Text as part of a page.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The next of 1, 2 and 5 times a power of ten.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let fits = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|step| step * power >= value);
    fits.unwrap_or(10.0) * power
}

fn number(value: f64) -> String {
    if value == 0.0 || value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Lines over time. `marks` are moments to be pointed at.
#[must_use]
pub fn lines(title: &str, unit: &str, all: &[Line], marks: &[f64]) -> String {
    let points = || all.iter().flat_map(|line| line.points.iter());
    let longest = points().map(|(x, _)| *x).fold(1e-9, f64::max);
    let top = ceiling(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let x = |value: f64| LEFT + value / longest * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{0}" font-family="system-ui,sans-serif" font-size="11"><style>text{{fill:#5b6775}}.g{{stroke:#dfe4ea}}@media(prefers-color-scheme:dark){{text{{fill:#9aa7b5}}.g{{stroke:#2c3540}}}}</style><text x="{LEFT}" y="14" font-size="13">{0} ({1})</text>"#,
        escape(title),
        escape(unit)
    );
    for step in 0..=4 {
        let part = f64::from(step) / 4.0;
        let (at_y, at_x) = (y(top * part), x(longest * part));
        let _ = write!(
            out,
            r#"<line class="g" x1="{LEFT}" x2="{}" y1="{at_y:.1}" y2="{at_y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text><text x="{at_x:.1}" y="{}" text-anchor="middle">{} s</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at_y + 4.0,
            number(top * part),
            HEIGHT - BOTTOM + 16.0,
            number(longest * part)
        );
    }
    for mark in marks {
        let at = x(*mark);
        let _ = write!(
            out,
            r##"<line stroke="#b42318" stroke-opacity=".35" stroke-dasharray="3 3" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{}"/>"##,
            HEIGHT - BOTTOM
        );
    }
    for (index, line) in all.iter().enumerate() {
        let colour = COLOURS
            .get(index % COLOURS.len())
            .copied()
            .unwrap_or("#000");
        let step = line.points.len().div_ceil(POINTS_MAX).max(1);
        let mut path = String::new();
        for (px, py) in line.points.iter().step_by(step) {
            let _ = write!(path, "{:.1},{:.1} ", x(*px), y(*py));
        }
        let at = WIDTH - RIGHT - (all.len() - index) as f64 * 70.0;
        let _ = write!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="{}"/><rect x="{at}" y="5" width="9" height="9" fill="{colour}"/><text x="{}" y="14">{}</text>"#,
            path.trim_end(),
            at + 13.0,
            escape(&line.name)
        );
    }
    out.push_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_picture_and_long_lines_are_thinned() {
        let line = Line {
            name: "<b>".to_owned(),
            points: (0..5_000).map(|i| (f64::from(i), 1.0)).collect(),
        };
        let plot = lines("a<b", "ms", &[line], &[3.0]);
        assert!(!plot.contains("<b>") && plot.contains("&lt;b&gt;"));
        assert!(plot.len() < 12_000, "{}", plot.len());
        assert!(lines("", "", &[], &[]).ends_with("</svg>"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, expected) in [(0.0, 1.0), (0.7, 1.0), (1.1, 2.0), (4_999.0, 5_000.0)] {
            assert!((ceiling(value) - expected).abs() < 1e-9);
        }
        assert!((ceiling(f64::NAN) - 1.0).abs() < 1e-9);
    }
}
