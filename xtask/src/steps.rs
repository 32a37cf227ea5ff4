//! The verbs as lists of commands, with the time each took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::services;

/// Runs commands one after the other and remembers how long each took.
pub struct Steps {
    root: PathBuf,
    took: Vec<(String, Duration)>,
}

impl Steps {
    pub fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        Self { root: root.to_path_buf(), took: Vec::new() }
    }

    /// Formatting, lints, documentation, tidiness.
    pub fn check(mut self) -> Result<()> {
        self.run_check()?;
        self.report();
        Ok(())
    }

    /// Everything.
    pub fn test(mut self, long: bool) -> Result<()> {
        services::install_missing().context("install the services that the tests talk to")?;
        self.run_check()?;
        let python = self.python()?;
        let python = python.to_string_lossy();
        let python = ("GOMERA_TEST_PYTHON", python.as_ref());
        let pairs = ("GOMERA_ORACLE_PAIRS", if long { "10000000" } else { "1000000" });
        self.cargo("unit, oracle, script, contract, command line", &["test", "--workspace"], &[python, pairs])?;
        let counting = self.counting()?;
        let build = ["build", "--release", "--package", "gomera", "--package", "gomera-loadtest"];
        self.cargo("release build", &build, &[])?;
        // Apart: built together with it, the product would have the switches of the simulator.
        self.cargo("release build of the simulator", &["build", "--release", "--package", "gomera-sim"], &[])?;
        let (seeds, deviations) = if long { ("20000", "2") } else { ("2000", "1") };
        self.release("swarm", "sim", &["--seeds", seeds])?;
        self.release("every order", "sim", &["--exhaustive", deviations])?;
        // Compiled with the other tests already; what they start is in release.
        self.cargo(
            "end to end",
            &["test", "--workspace", "--test", "end_to_end", "--", "--include-ignored", "--test-threads=1"],
            &[
                ("GOMERA_BINARIES", self.release_folder().to_string_lossy().as_ref()),
                ("GOMERA_BINARY_COUNTING", counting.to_string_lossy().as_ref()),
            ],
        )?;
        self.release("demo", "gomera", &["demo", "--seconds", "10"])?;
        self.report();
        Ok(())
    }

    /// The swarm.
    pub fn sim(mut self, seeds: u64, start: u64) -> Result<()> {
        self.cargo("build", &["build", "--release", "--package", "gomera-sim"], &[])?;
        self.release("swarm", "sim", &["--seeds", &seeds.to_string(), "--start", &start.to_string()])?;
        self.report();
        Ok(())
    }

    /// One benchmark.
    pub fn bench(mut self, name: &str, json: bool, arguments: &[String]) -> Result<()> {
        let arguments = json.then_some("--json").into_iter().chain(arguments.iter().map(String::as_str));
        if name == "matching" {
            let bench = ["bench", "--quiet", "--package", "gomera-matcher", "--bench", "matching", "--"];
            // Cargo runs benchmarks in the folder of their package.
            let called_from = std::env::current_dir().context("find the folder that this is called from")?;
            let called_from = called_from.to_string_lossy();
            let arguments = bench.into_iter().chain(arguments).collect::<Vec<_>>();
            return self.cargo(name, &arguments, &[("CALLED_FROM", &called_from)]);
        }
        let mut build = vec!["build", "--release", "--package", "gomera-loadtest", "--package", "gomera"];
        if name == "peers" {
            build.extend(["--package", "gomera-loadtest-peers"]);
            self.cargo("build", &build, &[])?;
            return self.release(name, "loadtest", &[name].into_iter().chain(arguments).collect::<Vec<_>>());
        }
        self.cargo("build", &build, &[])?;
        self.release(name, "loadtest", &["bench", name].into_iter().chain(arguments).collect::<Vec<_>>())
    }

    fn run_check(&mut self) -> Result<()> {
        self.cargo("format", &["fmt", "--all", "--check"], &[])?;
        self.cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"], &[])?;
        self.cargo(
            "documentation",
            &["doc", "--workspace", "--no-deps", "--quiet"],
            &[("RUSTDOCFLAGS", "--deny warnings")],
        )?;
        self.cargo("tidy", &["test", "--quiet", "--package", "xtask", "--test", "tidy"], &[])
    }

    /// A Python environment with grpcio, made once below `target/`.
    fn python(&mut self) -> Result<PathBuf> {
        let environment = self.root.join("target/python");
        let python = environment.join("bin/python");
        let requirements = self.root.join("examples/python/requirements.txt");
        let ready =
            Command::new(&python).args(["-c", "import grpc_tools"]).output().is_ok_and(|out| out.status.success());
        if !ready {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&environment);
            self.run("python environment", venv)?;
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
            self.run("python packages", pip)?;
        }
        Ok(python)
    }

    /// The binary that counts its allocations, set aside before the ordinary one takes its place.
    fn counting(&mut self) -> Result<PathBuf> {
        let build = ["build", "--release", "--package", "gomera", "--features", "count-allocations"];
        self.cargo("release build that counts allocations", &build, &[])?;
        let built = self.release_folder().join("gomera");
        let aside = self.release_folder().join("gomera-counting");
        std::fs::copy(&built, &aside).with_context(|| format!("copy {}", built.display()))?;
        Ok(aside)
    }

    fn release_folder(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from).join("release")
    }

    fn cargo(&mut self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).envs(environment.iter().copied());
        self.run(name, command)
    }

    fn release(&mut self, name: &str, binary: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.release_folder().join(binary));
        command.args(arguments);
        self.run(name, command)
    }

    fn run(&mut self, name: &str, mut command: Command) -> Result<()> {
        eprintln!("\n== {name}: {}", printed(&command));
        let begun = Instant::now();
        let status =
            command.current_dir(&self.root).status().with_context(|| format!("start {}", printed(&command)))?;
        self.took.push((name.to_owned(), begun.elapsed()));
        if !status.success() {
            self.report();
            bail!("{name} failed ({status}); repeat it with: {}", printed(&command));
        }
        Ok(())
    }

    fn report(&self) {
        eprintln!();
        for (name, took) in &self.took {
            eprintln!("{:>8.1} s  {name}", took.as_secs_f64());
        }
    }
}

fn printed(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
