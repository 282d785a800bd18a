//! Curves as SVG, for a reader of the results.
//!
//! What lives here: panels one above the other with a common axis, mostly of time: curves, levels, marked moments, a legend. What does not:
//! which curves. Called by the experiments. Invariant: every text that comes from outside is escaped.

mod axis;

use axis::Axis;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 46.0;
const HEIGHT: f64 = 220.0;
/// From the foot of one panel to the head of the next: the numbers, and the next one's title and marks.
const BETWEEN: f64 = 84.0;
const BOTTOM: f64 = 56.0;
/// Curves of so many points at most show them.
const FEW_POINTS: usize = 12;
/// Colours that also those tell apart who see few of them (Okabe and Ito), and that print.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// A picture.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    /// What is seen.
    pub title: String,
    /// What the horizontal axis tells, with its unit.
    pub x: String,
    /// Whether that axis goes by decades, for what differs by more than its double.
    pub decades: bool,
    /// From above to below.
    pub panels: Vec<Panel>,
}

/// Curves with an axis of their own.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// What is seen.
    pub title: String,
    /// What the vertical axis tells, with its unit.
    pub y: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Moments, and what happened then.
    pub marks: Vec<(f64, String)>,
    /// Levels to hold the curves against.
    pub levels: Vec<(f64, String)>,
}

/// A curve.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Drawn broken: something to compare with.
    pub broken: bool,
}

impl Curve {
    /// A curve.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, broken: false }
    }

    /// Drawn broken.
    #[must_use]
    pub fn broken(mut self) -> Self {
        self.broken = true;
        self
    }
}

impl Plot {
    /// The picture as the text of an SVG file.
    pub fn svg(&self) -> String {
        let panels = self.panels.iter().map(|_| HEIGHT).sum::<f64>();
        let gaps = self.panels.iter().skip(1).map(|_| BETWEEN).sum::<f64>();
        let height = TOP + 34.0 + panels + gaps + BOTTOM;
        let points = self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
        let marks = self.panels.iter().flat_map(|panel| &panel.marks).map(|mark| mark.0);
        let values = points.map(|point| point.0).chain(marks);
        let (from, to) = (LEFT, WIDTH - RIGHT);
        let x = if self.decades { Axis::decades(values, from, to) } else { Axis::over(values, from, to) };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut out, (LEFT, 26.0), "start", "font-size=\"16\" font-weight=\"bold\"", &self.title);
        let mut top = TOP + 34.0;
        for panel in &self.panels {
            panel.draw(&mut out, &x, top);
            top += HEIGHT + BETWEEN;
        }
        text(&mut out, (f64::midpoint(LEFT, WIDTH - RIGHT), height - 12.0), "middle", "", &self.x);
        out.push_str("</svg>\n");
        out
    }
}

impl Panel {
    fn draw(&self, out: &mut String, x: &Axis, top: f64) {
        let foot = top + HEIGHT;
        let values = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        let y = Axis::over(values.chain(self.levels.iter().map(|level| level.0)).chain([0.0]), foot, top);
        text(out, (LEFT, top - 22.0), "start", "font-weight=\"bold\"", &self.title);
        let middle = f64::midpoint(top, foot);
        let turned = format!("transform=\"rotate(-90 18 {middle:.1})\"");
        text(out, (18.0, middle), "middle", &turned, &self.y);
        let right = WIDTH - RIGHT;
        for (value, words) in y.ticks() {
            let at = y.place(value);
            line(out, (LEFT, at), (right, at), "stroke=\"#e4e4e4\"");
            text(out, (LEFT - 8.0, at + 4.0), "end", "fill=\"#444444\"", &words);
        }
        for (value, words) in x.ticks() {
            let at = x.place(value);
            line(out, (at, top), (at, foot), "stroke=\"#f0f0f0\"");
            text(out, (at, foot + 17.0), "middle", "fill=\"#444444\"", &words);
        }
        out.push_str(&format!(
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#888888\"/>\n",
            right - LEFT
        ));
        self.levels(out, &y, right);
        self.marks(out, x, (top, foot));
        for (number, curve) in self.curves.iter().enumerate() {
            let look = look(number, curve.broken);
            let points: String =
                curve.points.iter().map(|&(at, value)| format!("{:.1},{:.1} ", x.place(at), y.place(value))).collect();
            out.push_str(&format!("<polyline points=\"{}\" fill=\"none\" {look}/>\n", points.trim_end()));
            // A curve of few points is what was measured at each of them; of one, it would be nothing.
            for &(at, value) in curve.points.iter().filter(|_| curve.points.len() <= FEW_POINTS) {
                let (x, y) = (x.place(at), y.place(value));
                out.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"#ffffff\" {look}/>\n"));
            }
            // The legend, beside the panel.
            let at = (0..number).fold(top + 10.0, |at, _| at + 19.0);
            line(out, (right + 14.0, at), (right + 40.0, at), &look);
            text(out, (right + 46.0, at + 4.0), "start", "", &curve.name);
        }
    }

    fn levels(&self, out: &mut String, y: &Axis, right: f64) {
        for (value, words) in &self.levels {
            let at = y.place(*value);
            line(out, (LEFT, at), (right, at), "stroke=\"#666666\" stroke-dasharray=\"2 3\"");
            text(out, (right - 4.0, at - 4.0), "end", "fill=\"#666666\" font-size=\"11\"", words);
        }
    }

    fn marks(&self, out: &mut String, x: &Axis, (top, foot): (f64, f64)) {
        // Words that would run into each other take turns on two lines.
        let mut free = [f64::MIN; 2];
        for (moment, words) in &self.marks {
            let at = x.place(*moment);
            line(out, (at, top), (at, foot), "stroke=\"#333333\" stroke-dasharray=\"5 4\"");
            let width = words.chars().fold(12.0, |width, _| width + 6.0);
            let row = usize::from(free[0] > at && free[1] <= at);
            free[row] = at + width;
            let height = if row == 0 { top - 5.0 } else { top + 13.0 };
            text(out, (at + 3.0, height), "start", "fill=\"#333333\" font-size=\"11\"", words);
        }
    }
}

fn look(number: usize, broken: bool) -> String {
    let dashes = if broken { " stroke-dasharray=\"7 4\"" } else { "" };
    format!("stroke=\"{}\" stroke-width=\"1.8\"{dashes}", COLOURS[number % COLOURS.len()])
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), look: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    out.push_str(&format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {look}/>\n"));
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, look: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    out.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {look}>{words}</text>\n"));
}

#[cfg(test)]
mod tests;
