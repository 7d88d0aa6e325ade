//! The chart of docs/difficulty.svg: spacing, difficulty and coins issued over one story.
//!
//! Plain text out of plain numbers: the same story gives the same bytes on every machine. It reads
//! in light and dark, and tells lines apart by their strokes as well as by their colours.

use crate::scenario::{BLOCKS, DOWN, PAUSE, Story, UP, VISIT};
use crate::simulation::{Found, ln};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 800.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 924.0;
const PANEL: f64 = 190.0;
/// Every so many blocks a point is drawn.
const STRIDE: usize = 20;
/// Blocks over which the drawn spacing is the mean.
const MEAN: usize = 60;

const STYLE: &str = "
  svg { font: 13px system-ui, sans-serif; --ink: #1f2328; --soft: #59636e; --page: #ffffff;
    --grid: #d8dee4; --line: #0757b8; --rule: #b54708; --band: #8250df22 }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --soft: #9da7b1; --page: #0d1117; --grid: #2b323a; --line: #6cb6ff;
      --rule: #f0a04b; --band: #a371f744 } }
  .page { fill: var(--page) } text { fill: var(--soft) }
  .title { fill: var(--ink); font-weight: 600 } .end { text-anchor: end }
  .middle { text-anchor: middle } .grid { stroke: var(--grid) } .band { fill: var(--band) }
  .mark { stroke: var(--soft); stroke-dasharray: 2 3 } .line, .rule { fill: none }
  .line { stroke: var(--line); stroke-width: 1.5 } .in-line { fill: var(--line) }
  .rule { stroke: var(--rule); stroke-width: 2; stroke-dasharray: 7 4 } .in-rule { fill: var(--rule) }
";

/// How values become heights within a panel.
enum Scale {
    Linear { high: f64 },
    Log { low: f64, high: f64 },
}

impl Scale {
    /// 0 at the bottom and 1 at the top; values beyond are drawn at the edge.
    fn share(&self, value: f64) -> f64 {
        let share = match *self {
            Self::Linear { high } => value / high,
            Self::Log { low, high } => ln(value / low) / ln(high / low),
        };
        share.clamp(0.0, 1.0)
    }
}

struct Panel {
    top: f64,
    title: &'static str,
    scale: Scale,
    ticks: &'static [(f64, &'static str)],
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        self.top + PANEL * (1.0 - self.scale.share(value))
    }

    /// Title, grid and the names of the ticks.
    fn frame(&self, out: &mut String) {
        text(out, "title", (LEFT, self.top - 8.0), self.title);
        for (value, name) in self.ticks {
            let y = self.y(*value);
            line(out, "grid", (LEFT, y), (RIGHT, y));
            text(out, "end", (LEFT - 6.0, y + 4.0), name);
        }
    }

    /// What the two lines stand for, on the title's line.
    fn legend(&self, out: &mut String, line: &str, rule: &str) {
        let words = format!(
            "<tspan class=\"in-line\">━━ {line}</tspan> \u{2003}<tspan class=\"in-rule\">╍╍ \
             {rule}</tspan>"
        );
        text(out, "end", (RIGHT, self.top - 8.0), &words);
    }

    /// A line through `points`, of heights and values.
    fn curve(&self, out: &mut String, class: &str, points: impl Iterator<Item = (u32, f64)>) {
        let mut path = String::new();
        for (height, value) in points {
            let to = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{to}{:.1} {:.1}", x(height), self.y(value)).expect("a string takes it");
        }
        writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>").expect("a string takes it");
    }
}

fn x(height: u32) -> f64 {
    LEFT + (RIGHT - LEFT) * f64::from(height) / f64::from(BLOCKS)
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>")
        .expect("a string takes it");
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    )
    .expect("a string takes it");
}

/// The chart of a story as an SVG document.
pub fn draw(story: &Story) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title desc\">\n<title id=\"title\">Block spacing, difficulty and coins \
         issued over {BLOCKS} simulated blocks</title>\n<desc id=\"desc\">The spacing follows the \
         schedule from 10 to 19 seconds, apart from brief settling after genesis, after four weeks \
         without miners, after ten times the hash rate comes and goes, and after a visitor of \
         100,000 times the hash rate.</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let panels = panels();
    marks(&mut out, story, &panels);
    panels.iter().for_each(|panel| panel.frame(&mut out));
    let [spacing, difficulty, issued] = &panels;
    draw_spacing(&mut out, spacing, &story.blocks);
    draw_difficulty(&mut out, difficulty, &story.blocks);
    draw_issued(&mut out, issued, &story.blocks);
    heights(&mut out, story, issued.top + PANEL);
    out.push_str("</svg>\n");
    out
}

fn panels() -> [Panel; 3] {
    [
        Panel {
            top: 64.0,
            title: "Seconds between blocks",
            scale: Scale::Log { low: 0.1, high: 1_000.0 },
            ticks: &[(0.1, "0.1"), (1.0, "1"), (10.0, "10"), (100.0, "100"), (1e3, "1,000")],
        },
        Panel {
            top: 304.0,
            title: "Difficulty: hashes for a block",
            scale: Scale::Log { low: 1e7, high: 1e15 },
            ticks: &[(1e7, "10⁷"), (1e9, "10⁹"), (1e11, "10¹¹"), (1e13, "10¹³"), (1e15, "10¹⁵")],
        },
        Panel {
            top: 544.0,
            title: "Coins issued",
            scale: Scale::Linear { high: 200_000.0 },
            ticks: &[
                (0.0, "0"),
                (5e4, "50,000"),
                (1e5, "100,000"),
                (1.5e5, "150,000"),
                (2e5, "200,000"),
            ],
        },
    ]
}

/// What happened, above and across all panels.
fn marks(out: &mut String, story: &Story, panels: &[Panel; 3]) {
    let names = [
        (PAUSE, "four idle weeks"),
        (UP, "hash rate × 10"),
        (DOWN, "hash rate as before"),
        (VISIT, "a visitor, × 100,000 for 15 minutes"),
    ];
    let (from, width) = (x(VISIT), x(story.left) - x(VISIT));
    for panel in panels {
        let top = panel.top;
        writeln!(
            out,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{PANEL:.1}\"/>"
        )
        .expect("a string takes it");
        for (height, _) in names {
            line(out, "mark", (x(height), top), (x(height), top + PANEL));
        }
    }
    for (height, name) in names {
        text(out, "", (x(height), panels[0].top - 34.0), &format!("↓ {name}"));
    }
}

/// Every [`STRIDE`]th block.
fn sampled(blocks: &[Found]) -> impl Iterator<Item = &Found> {
    blocks.iter().step_by(STRIDE)
}

fn draw_spacing(out: &mut String, panel: &Panel, blocks: &[Found]) {
    // Nobody mined in the pause: what passed before the miners came back is no spacing.
    let took =
        |found: &Found| if found.height == PAUSE { f64::from(found.spacing) } else { found.took };
    let count = f64::from(u32::try_from(MEAN).expect("small"));
    let mean = |window: &[Found]| window.iter().map(took).sum::<f64>() / count;
    let windows = blocks.windows(MEAN).step_by(STRIDE);
    panel.curve(out, "line", windows.map(|window| (window[MEAN - 1].height, mean(window))));
    let schedule = |found: &Found| (found.height, f64::from(found.spacing));
    panel.curve(out, "rule", sampled(blocks).map(schedule));
    panel.legend(out, &format!("mean of {MEAN} blocks"), "schedule");
}

fn draw_difficulty(out: &mut String, panel: &Panel, blocks: &[Found]) {
    panel.curve(out, "line", sampled(blocks).map(|found| (found.height, found.difficulty)));
    let balance = |found: &Found| (found.height, found.difficulty / found.imbalance());
    panel.curve(out, "rule", sampled(blocks).map(balance));
    panel.legend(out, "from the bits", "hash rate × schedule");
}

fn draw_issued(out: &mut String, panel: &Panel, blocks: &[Found]) {
    let coins = |found: &Found| {
        let coins = u32::try_from(found.issued.units() / farthing::primitives::amount::COIN);
        (found.height, f64::from(coins.expect("at most 21 million")))
    };
    panel.curve(out, "line", sampled(blocks).chain(blocks.last()).map(coins));
}

/// The heights along the bottom, and the days that had passed by then.
fn heights(out: &mut String, story: &Story, bottom: f64) {
    for found in story.blocks.iter().filter(|found| found.height % 2_000 == 0) {
        let thousands = found.height / 1_000;
        text(out, "middle", (x(found.height), bottom + 20.0), &format!("{thousands},000"));
        let day = found.clock / 86_400.0;
        text(out, "middle", (x(found.height), bottom + 38.0), &format!("day {day:.1}"));
    }
    text(out, "end", (LEFT - 6.0, bottom + 20.0), "height");
}
