//! A child process that cannot outlive this one: a shell waits on a pipe that we hold, and kills the child when the pipe
//! closes, be it because we asked, finished, panicked or were killed ourselves.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::ServiceError;

/// `$0` is the log, the arguments are the command, the working directory is the service's own. A line on the pipe means that
/// we killed the child on purpose and want its directory kept; without one we are gone ourselves, and nobody else would
/// tidy up. Backgrounding takes the child's standard input away, as it should.
const GUARD: &str = r#"
trap : INT TERM HUP
"$@" >>"$0" 2>&1 &
child=$!
echo "$child"
read -r keep
kill -9 "$child" 2>/dev/null
wait "$child" 2>/dev/null
if [ "$keep" != keep ]; then
    rm -rf "$PWD"
    rmdir "$(dirname "$PWD")" 2>/dev/null
fi
"#;

/// A running child and the shell that guards it.
pub(super) struct Guarded {
    guard: Child,
    pipe: Option<ChildStdin>,
    /// The child's process id.
    pub(super) id: u32,
}

impl Guarded {
    /// Starts `command`, its output going to the end of `log`.
    pub(super) fn start(command: &[&str], directory: &Path, log: &Path) -> Result<Self, ServiceError> {
        let attempt = format!("start {}", command.first().copied().unwrap_or("nothing"));
        let fail = |error: std::io::Error| ServiceError::from_io(&attempt, &error);
        File::options().create(true).append(true).open(log).map_err(fail)?;
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD])
            .arg(log)
            .args(command)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(fail)?;
        let pipe = guard.stdin.take();
        let mut line = String::new();
        let output = guard.stdout.take().ok_or_else(|| ServiceError::new(format!("{attempt}: no output pipe")))?;
        BufReader::new(output).read_line(&mut line).map_err(fail)?;
        let id =
            line.trim().parse().map_err(|_| ServiceError::new(format!("{attempt}: the shell printed «{line}»")))?;
        Ok(Self { guard, pipe, id })
    }

    /// Whether the child still runs.
    pub(super) fn is_alive(&self) -> bool {
        // The third field of the status is the state; a zombie waits for its guard.
        std::fs::read_to_string(format!("/proc/{}/stat", self.id))
            .is_ok_and(|status| status.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
    }

    /// Kills the child at once, as by `kill -9`, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A guard that is gone has nothing to be told.
            drop(pipe.write_all(b"keep\n"));
        }
        // The guard ends as soon as the child has; if it is gone already there is nothing to wait for.
        drop(self.guard.wait());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `serves`. A child that ends before, or takes too long, is an error with the end of its log.
pub(super) fn await_serving(
    service: &str,
    process: &Guarded,
    log: &Path,
    within: Duration,
    serves: impl Fn() -> bool,
) -> Result<(), ServiceError> {
    let begun = Instant::now();
    while !serves() {
        let is_alive = process.is_alive();
        if !is_alive || begun.elapsed() > within {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines = text.lines().collect::<Vec<_>>();
            let state = if is_alive { "does not serve" } else { "has ended" };
            return Err(ServiceError::new(format!(
                "{service} {state} after {:.1} s; its log ends:\n{}",
                begun.elapsed().as_secs_f64(),
                lines[lines.len().saturating_sub(15)..].join("\n"),
            )));
        }
        // A service that starts has nothing to wait on but its answer.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
