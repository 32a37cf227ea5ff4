//! What a trial looks like while it runs: a page that is redrawn on a terminal, a line every second elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::summary::{grouped, milliseconds, per_second};
use crate::trial::{Standing, Watch};

/// Subscribers shown on the page: a small terminal has 24 lines.
const SUBSCRIBERS_SHOWN: usize = 14;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    /// Redrawn in place, and restored at the end.
    Terminal,
    /// One line at a time.
    Plain,
    /// Somebody reads JSON: nothing.
    Silent,
}

/// See the top of this file. Restores the terminal when dropped.
#[derive(Debug)]
pub struct View {
    surface: Surface,
    title: String,
    names: Vec<String>,
    planned: Option<Duration>,
}

impl View {
    /// A view of a trial of these subscribers that is planned to last so long.
    #[must_use]
    pub fn open(title: String, names: Vec<String>, planned: Option<Duration>, json: bool) -> Self {
        let surface = match (json, io::stdout().is_terminal()) {
            (true, _) => Surface::Silent,
            (false, true) => Surface::Terminal,
            (false, false) => Surface::Plain,
        };
        let view = Self { surface, title, names, planned };
        if surface == Surface::Terminal {
            show(ENTER);
        } else if surface == Surface::Plain {
            plain(&view.title);
        }
        view
    }

    /// How long to wait between two looks.
    #[must_use]
    pub fn pace(&self) -> Duration {
        match self.surface {
            Surface::Terminal => Duration::from_millis(100),
            Surface::Plain | Surface::Silent => Duration::from_secs(1),
        }
    }

    /// Shows how it stands; `note` is what the trial itself has to say.
    pub fn draw(&self, standing: &Standing, note: &str) {
        match self.surface {
            Surface::Terminal => show(&self.page(standing, note)),
            Surface::Plain => plain(&self.line(standing)),
            Surface::Silent => {}
        }
    }

    /// Waits until `moment`, drawing meanwhile.
    pub async fn draw_between(&self, watch: &Watch, redraw: &mut tokio::time::Interval, moment: Instant) {
        let sleep = tokio::time::sleep_until(moment.into());
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return,
                _ = redraw.tick() => self.draw(&watch.look(), ""),
            }
        }
    }

    fn line(&self, standing: &Standing) -> String {
        let progress = standing.progress;
        format!(
            "{:>6.1} s  published {}  delivered {}  latency p50 {} p99 {}",
            standing.elapsed.as_secs_f64(),
            grouped(progress.published),
            grouped(progress.delivered),
            milliseconds(standing.p50),
            milliseconds(standing.p99),
        )
    }

    fn page(&self, standing: &Standing, note: &str) -> String {
        let progress = standing.progress;
        let seconds = standing.elapsed.as_secs_f64();
        let of = self.planned.map(|planned| format!(" of {} s", planned.as_secs())).unwrap_or_default();
        let mut lines = vec![
            format!("{BOLD}{}{PLAIN}", self.title),
            format!("{seconds:.1} s{of}   {note}"),
            String::new(),
            format!(
                "published {} ({}/s)   acknowledged {}   delivered {} ({}/s)",
                grouped(progress.published),
                per_second(progress.published, seconds),
                grouped(progress.acknowledged),
                grouped(progress.delivered),
                per_second(progress.delivered, seconds),
            ),
            format!("latency p50 {}   p99 {}", milliseconds(standing.p50), milliseconds(standing.p99)),
            String::new(),
        ];
        let width = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, (delivered, filters)) in self.names.iter().zip(&standing.subscribers).take(SUBSCRIBERS_SHOWN) {
            let filter = filters.first().map(String::as_str).unwrap_or_default();
            lines.push(format!("{:>9}  {name:<width$}  {DIM}{filter}{PLAIN}", grouped(*delivered)));
        }
        let hidden = self.names.len().saturating_sub(SUBSCRIBERS_SHOWN);
        if hidden > 0 {
            lines.push(format!("{DIM}           and {hidden} more{PLAIN}"));
        }
        let mut page = String::from(HOME);
        for line in lines {
            page.push_str(&line);
            page.push_str(CLEAR_LINE);
            page.push_str("\r\n");
        }
        page.push_str(CLEAR_BELOW);
        page
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.surface == Surface::Terminal {
            show(LEAVE);
        }
    }
}

/// A reader that is gone is noticed when the summary is printed.
fn plain(text: &str) {
    let _gone = crate::output::line(text);
}

/// A terminal that is gone is noticed elsewhere.
fn show(text: &str) {
    let mut terminal = io::stdout().lock();
    let _gone = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
