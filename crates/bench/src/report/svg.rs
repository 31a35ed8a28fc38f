//! Plots as inline SVG. Colours come from the page, which knows light from dark.

use std::fmt::Write;

use crate::compare::number;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Points that a line is thinned to.
const POINTS_MAX: usize = 600;

/// A line with its name.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Text that is part of a page.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

fn open(out: &mut String, label: &str) {
    let label = escape(label);
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">"#
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escape(text);
    let _ = write!(
        out,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
    );
}

fn grid(out: &mut String, top: f64, unit: &str) {
    for step in 0..=4 {
        let part = f64::from(step) / 4.0;
        let y = HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
        let right = WIDTH - RIGHT;
        let _ = write!(
            out,
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#
        );
        text(out, LEFT - 6.0, y + 4.0, "end", &number(top * part));
    }
    text(out, LEFT - 6.0, TOP - 1.0, "end", unit);
}

/// Lines over time or load. `marks` are moments to be pointed at.
pub(super) fn lines(label: &str, unit: &str, x_unit: &str, all: &[Line], marks: &[f64]) -> String {
    let mut out = String::new();
    let points = || all.iter().flat_map(|line| line.points.iter());
    let x_max = points().map(|(x, _)| *x).fold(0.0, f64::max).max(1e-9);
    let top = ceiling(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let x = |value: f64| LEFT + value / x_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    open(&mut out, label);
    grid(&mut out, top, unit);
    for step in 0..=4 {
        let at = x_max * f64::from(step) / 4.0;
        text(
            &mut out,
            x(at),
            HEIGHT - BOTTOM + 16.0,
            "middle",
            &number(at),
        );
    }
    text(&mut out, WIDTH - RIGHT, HEIGHT - 4.0, "end", x_unit);
    for mark in marks {
        let at = x(*mark);
        let bottom = HEIGHT - BOTTOM;
        let _ = write!(
            out,
            r#"<line class="mark" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}"/>"#
        );
    }
    for (index, line) in all.iter().enumerate() {
        let step = line.points.len().div_ceil(POINTS_MAX).max(1);
        let mut path = String::new();
        for (px, py) in line.points.iter().step_by(step) {
            let _ = write!(path, "{:.1},{:.1} ", x(*px), y(*py));
        }
        let _ = write!(
            out,
            r#"<polyline class="c{}" points="{}"><title>{}</title></polyline>"#,
            index % 6,
            path.trim_end(),
            escape(&line.name)
        );
        if all.len() > 1 {
            let at = LEFT + 10.0 + index as f64 * 95.0;
            let low = HEIGHT - 8.0;
            let _ = write!(
                out,
                r#"<rect class="f{}" x="{at:.1}" y="{:.1}" width="10" height="10"/>"#,
                index % 6,
                low - 9.0
            );
            text(&mut out, at + 14.0, low, "start", &line.name);
        }
    }
    out.push_str("</svg>");
    out
}

/// Bars that lie below each other, each with its name and value.
pub(super) fn bars(label: &str, unit: &str, rows: &[(String, f64)]) -> String {
    let height = rows.len() as f64 * 24.0 + 8.0;
    let top = ceiling(rows.iter().map(|(_, value)| *value).fold(0.0, f64::max));
    let mut out = String::new();
    let named = 170.0;
    let _ = write!(
        out,
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#,
        escape(label)
    );
    for (index, (name, value)) in rows.iter().enumerate() {
        let y = index as f64 * 24.0 + 6.0;
        let width = value / top * (WIDTH - named - 110.0);
        text(&mut out, named - 8.0, y + 13.0, "end", name);
        let _ = write!(
            out,
            r#"<rect class="f{}" x="{named}" y="{y:.1}" width="{width:.1}" height="17" rx="2"/>"#,
            index % 6
        );
        let shown = format!("{} {unit}", number(*value));
        text(&mut out, named + width + 6.0, y + 13.0, "start", &shown);
    }
    out.push_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [
            (0.0, 1.0),
            (0.7, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (4_999.0, 5_000.0),
            (5_001.0, 10_000.0),
            (f64::NAN, 1.0),
        ] {
            assert_eq!(ceiling(value), top, "{value}");
        }
    }

    #[test]
    fn names_cannot_break_the_page() {
        let line = Line {
            name: "<script>&\"".to_owned(),
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        };
        let plot = lines("a<b", "ms", "s", &[line], &[0.5]);
        assert!(!plot.contains("<script>") && plot.contains("&lt;script&gt;&amp;&quot;"));
        assert!(plot.contains("class=\"mark\""));
        assert_eq!(plot.matches("<polyline").count(), 1);
    }

    #[test]
    fn long_lines_are_thinned() {
        let points = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        let line = Line {
            name: String::new(),
            points,
        };
        assert!(lines("", "", "", &[line], &[]).len() < 20_000);
        assert!(bars("x", "µs", &[("a".to_owned(), 1.0)]).contains("1.00 µs"));
    }
}
