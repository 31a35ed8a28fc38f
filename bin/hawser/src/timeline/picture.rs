//! The picture of a timeline: a lane for each validator, time from left to right (SVG 1.1).

use std::fmt::Write as _;

use hawser_node::blackbox::What;
use hawser_node::blackbox::timeline::{HeightView, Seen, Timeline};
use hawser_primitives::{Height, Round, Time};

use super::text::{Style, clock};
use super::words::{is_notable, sentence};
use crate::lang::Lang;

/// Width of the names, height of the axis and of a lane, in pixels.
const GUTTER: f64 = 150.0;
const AXIS: f64 = 48.0;
const LANE: f64 = 34.0;
/// Bounds of the picture's width, in pixels.
const WIDTH: (f64, f64) = (1_100.0, 24_000.0);
/// Pixels for a second where there is room.
const PIXELS_PER_S: f64 = 160.0;
/// Most marks of votes that are drawn; beyond that only heights that took long have them.
const MARKS_MAX: usize = 20_000;

/// Text that may stand in a page.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What a mark says when it is pointed at.
fn title(text: &str) -> String {
    format!("<title>{}</title>", escape(text))
}

struct Canvas<'a> {
    timeline: &'a Timeline,
    style: Style,
    from: Time,
    to: Time,
    scale: f64,
    lanes: usize,
    out: String,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "pixels: what is drawn spans hours at most"
)]
fn pixels(value: u64) -> f64 {
    value as f64
}

fn lane_number(lane: usize) -> f64 {
    u32::try_from(lane).map_or(0.0, f64::from)
}

impl Canvas<'_> {
    fn x(&self, at: Time) -> f64 {
        GUTTER + pixels(at.since_ms(self.from)) * self.scale
    }

    /// The middle of a lane.
    fn y(&self, lane: usize) -> f64 {
        AXIS + (lane_number(lane) + 0.5) * LANE
    }

    fn bottom(&self) -> f64 {
        AXIS + lane_number(self.lanes) * LANE
    }

    /// The lane of a node: that of its validator, else one of its own below.
    fn lane_of(&self, node: usize) -> usize {
        let lane = self.timeline.nodes.get(node);
        lane.and_then(|lane| lane.validator).unwrap_or_else(|| {
            let before = self.timeline.nodes.iter().take(node);
            let others = before.filter(|lane| lane.validator.is_none()).count();
            self.timeline.validators.len().saturating_add(others)
        })
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = self.out.write_fmt(arguments);
        self.out.push('\n');
    }

    fn lanes(&mut self, right: f64) {
        let names: Vec<String> = (0..self.timeline.validators.len())
            .map(|who| self.timeline.name_of(who))
            .chain(
                self.timeline
                    .nodes
                    .iter()
                    .filter(|lane| lane.validator.is_none())
                    .map(|lane| lane.name.clone()),
            )
            .collect();
        for (lane, name) in names.iter().enumerate() {
            let y = self.y(lane);
            self.push(format_args!(
                "<text class='name' x='8' y='{:.1}'>{}</text><line class='lane' x1='{GUTTER}' x2='{right:.1}' y1='{y:.1}' y2='{y:.1}'/>",
                y + 4.0,
                escape(name)
            ));
        }
    }

    fn axis(&mut self, right: f64) {
        const STEPS_MS: [u64; 12] = [
            10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000,
        ];
        let fits = |step: &&u64| pixels(**step) * self.scale >= 90.0;
        let step = STEPS_MS.iter().find(fits).copied().unwrap_or(86_400_000);
        let mut at = self.from.0.div_ceil(step).saturating_mul(step);
        while at <= self.to.0 {
            let x = self.x(Time(at));
            let bottom = self.bottom();
            self.push(format_args!(
                "<line class='tick' x1='{x:.1}' x2='{x:.1}' y1='18' y2='{bottom:.1}'/><text class='time' x='{x:.1}' y='14'>{}</text>",
                clock(Time(at))
            ));
            at = at.saturating_add(step);
        }
        self.push(format_args!(
            "<line class='tick' x1='{GUTTER}' x2='{right:.1}' y1='18' y2='18'/>"
        ));
    }

    fn height(&mut self, height: Height, view: &HeightView, votes: bool) {
        let Some(started) = view.begins() else {
            return;
        };
        let ended = view.ended.unwrap_or(self.to);
        let (left, right) = (self.x(started.max(self.from)), self.x(ended.min(self.to)));
        let width = (right - left).max(1.0);
        let bottom = self.bottom();
        let zh = self.style.lang == Lang::Zh;
        let remarkable = self.timeline.is_remarkable(view, self.style.slow_ms);
        let mut text = format!(
            "{height}: {}",
            super::text::verdict(self.timeline, view, self.style.lang)
        );
        if remarkable {
            let causes = self.timeline.causes(height);
            for cause in &causes {
                text.push_str("\n- ");
                text.push_str(cause.pick(zh));
            }
            let tip = title(&text);
            self.push(format_args!(
                "<rect class='gap' x='{left:.1}' y='{AXIS}' width='{width:.1}' height='{:.1}'>{tip}</rect>",
                bottom - AXIS
            ));
            if let Some(cause) = causes.first() {
                let shown: String = cause.pick(zh).chars().take(fitting(width)).collect();
                self.push(format_args!(
                    "<text class='cause' x='{:.1}' y='{:.1}'>{}</text>",
                    left + 3.0,
                    AXIS - 4.0,
                    escape(&shown)
                ));
            }
        }
        let tip = title(&text);
        let even = if height.0.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        };
        self.push(format_args!(
            "<rect class='{even}' x='{left:.1}' y='20' width='{width:.1}' height='14'>{tip}</rect>"
        ));
        if width > 40.0 {
            self.push(format_args!(
                "<text class='height' x='{:.1}' y='31'>{height}</text>",
                left + 3.0
            ));
        }
        if let Some(at) = view.decided.filter(|at| *at <= self.to) {
            let x = self.x(at);
            self.push(format_args!(
                "<line class='final' x1='{x:.1}' x2='{x:.1}' y1='34' y2='{bottom:.1}'/>"
            ));
        }
        if votes || remarkable {
            for (round, seen) in &view.rounds {
                self.round(height, *round, seen);
            }
        }
    }

    fn round(
        &mut self,
        height: Height,
        round: Round,
        seen: &hawser_node::blackbox::timeline::RoundView,
    ) {
        let bottom = self.bottom();
        if let Some(at) = seen.entered.filter(|_| round > Round(0)) {
            let x = self.x(at);
            self.push(format_args!(
                "<line class='round' x1='{x:.1}' x2='{x:.1}' y1='{AXIS}' y2='{bottom:.1}'/><text class='height' x='{:.1}' y='{:.1}'>r{round}</text>",
                x + 2.0,
                bottom - 3.0
            ));
        }
        if let (Some((at, block)), Some(who)) = (seen.proposal, seen.proposer) {
            let (x, y) = (self.x(at), self.y(who));
            let tip = title(&format!(
                "{height}/{round} {} {}: {block}",
                clock(at),
                self.timeline.name_of(who)
            ));
            self.push(format_args!(
                "<path class='proposal' d='M{x:.1} {:.1}l6 6l-6 6l-6 -6z'>{tip}</path>",
                y - 6.0
            ));
        }
        let kinds = [
            (
                &seen.prevotes,
                "prevote",
                self.style.lang.pick("prevote", "预投票"),
            ),
            (
                &seen.precommits,
                "precommit",
                self.style.lang.pick("precommit", "预提交"),
            ),
        ];
        for (votes, class, name) in kinds {
            for (who, vote) in votes {
                self.vote((height, round), *who, *vote, (class, name));
            }
        }
    }

    fn vote(
        &mut self,
        (height, round): (Height, Round),
        who: usize,
        vote: Seen,
        (class, name): (&str, &str),
    ) {
        if vote.at < self.from || vote.at > self.to {
            return;
        }
        let (x, y) = (self.x(vote.at), self.y(who));
        let block = vote
            .block
            .map_or_else(|| "nil".to_owned(), |block| block.to_string());
        let nil = if vote.block.is_none() { " nil" } else { "" };
        let text = format!(
            "{height}/{round} {} {}: {name} {block}",
            clock(vote.at),
            self.timeline.name_of(who)
        );
        let tip = title(&text);
        if class == "prevote" {
            self.push(format_args!(
                "<circle class='prevote{nil}' cx='{x:.1}' cy='{y:.1}' r='3.5'>{tip}</circle>"
            ));
        } else {
            self.push(format_args!(
                "<rect class='precommit{nil}' x='{:.1}' y='{:.1}' width='7' height='7'>{tip}</rect>",
                x - 3.5,
                y - 3.5
            ));
        }
    }

    fn remarks(&mut self) {
        let timeline = self.timeline;
        for one in timeline
            .happenings
            .iter()
            .filter(|one| is_notable(&one.what))
        {
            let (x, y) = (self.x(one.at), self.y(self.lane_of(one.node)));
            let text = format!(
                "{} {} {}: {}",
                clock(one.at),
                one.height,
                self.timeline.node_name(one.node),
                sentence(self.timeline, one, self.style.lang)
            );
            let tip = title(&text);
            let (class, sign) = match &one.what {
                What::Held(ms) => {
                    let from = Time(one.at.0.saturating_sub(u64::from(*ms))).max(self.from);
                    let left = self.x(from);
                    self.push(format_args!(
                        "<rect class='held' x='{left:.1}' y='{:.1}' width='{:.1}' height='{:.1}'>{tip}</rect>",
                        y - LANE / 2.0 + 2.0,
                        (x - left).max(2.0),
                        LANE - 4.0
                    ));
                    continue;
                }
                What::Timeout { .. } => ("bad", "×"),
                What::Link { up: true, .. } | What::Started => ("good", "▲"),
                What::Link { .. } | What::Stopped(_) => ("bad", "▼"),
                What::Clock(_) => ("bad", "◷"),
                What::Disk { .. } => ("bad", "▤"),
                _ => ("bad", "!"),
            };
            self.push(format_args!(
                "<text class='{class}' x='{x:.1}' y='{:.1}'>{sign}{tip}</text>",
                y - 6.0
            ));
        }
    }
}

/// How many letters fit into so many pixels.
fn fitting(width: f64) -> usize {
    let letters = (width / 6.5).clamp(8.0, 200.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 8 and 200"
    )]
    let letters = letters as usize;
    letters
}

/// The picture; nothing where nothing was recorded.
pub(super) fn svg(timeline: &Timeline, style: Style) -> Option<String> {
    let (from, to) = timeline.span()?;
    let span_ms = to.since_ms(from).max(1);
    let wanted = pixels(span_ms) / 1_000.0 * PIXELS_PER_S;
    let width = wanted.clamp(WIDTH.0, WIDTH.1);
    let others = timeline
        .nodes
        .iter()
        .filter(|lane| lane.validator.is_none());
    let lanes = timeline.validators.len().saturating_add(others.count());
    let mut canvas = Canvas {
        timeline,
        style,
        from,
        to,
        scale: width / pixels(span_ms),
        lanes,
        out: String::new(),
    };
    let right = GUTTER + width;
    let (whole_width, whole_height) = (right + 20.0, canvas.bottom() + 10.0);
    canvas.push(format_args!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{whole_width:.0}' height='{whole_height:.0}' role='img'>"
    ));
    canvas.axis(right);
    canvas.lanes(right);
    let marks: usize = timeline
        .heights
        .values()
        .flat_map(|view| view.rounds.values())
        .map(|round| round.prevotes.len().saturating_add(round.precommits.len()))
        .sum();
    for (height, view) in &timeline.heights {
        canvas.height(*height, view, marks <= MARKS_MAX);
    }
    canvas.remarks();
    canvas.out.push_str("</svg>\n");
    Some(canvas.out)
}
