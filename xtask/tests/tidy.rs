//! Keeps the tree honest: dependency rules, file lengths, a promise at the head of every file, no leftovers, versions in one
//! place, a map that names every folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file that is let through; half of it is the aim.
const LINES_MAX: usize = 500;

/// Crates that may not know a runtime, a wire format or a coordination service.
const PURE: [&str; 7] =
    ["model", "cluster", "connection-point", "access-point", "matcher", "exit-point", "coordinator"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Files that git tracks or would track.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists files");
    assert!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .expect("paths are UTF-8")
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("source is readable");
            (path, text)
        })
        .collect()
}

fn fail_with(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn manifest(folder: &str) -> String {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a member has a manifest")
}

/// The names in the `[dependencies]` table of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn pure_crates_name_no_runtime_and_no_wire() {
    let banned = ["tokio", "tonic", "prost", "zookeeper-client", "hyper", "rand"];
    let mut complaints = Vec::new();
    for folder in PURE {
        let text = manifest(folder);
        for name in dependencies(&text) {
            if banned.iter().any(|ban| name.starts_with(ban)) {
                complaints.push(format!("{folder}/Cargo.toml names {name}: it belongs to host or proto"));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn layers_know_only_model_and_cluster() {
    let mut complaints = Vec::new();
    for folder in PURE {
        let allowed: &[&str] = match folder {
            "model" => &[],
            "cluster" => &["gomera-model"],
            _ => &["gomera-model", "gomera-cluster"],
        };
        let text = manifest(folder);
        for name in dependencies(&text).into_iter().filter(|name| name.starts_with("gomera")) {
            if !allowed.contains(&name) {
                complaints
                    .push(format!("{folder}/Cargo.toml names {name}: only {allowed:?} of ours are allowed there"));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn the_simulator_alone_asks_for_switchable_rules() {
    let feature = "\"switchable-rules\"";
    let manifests = files().into_iter().filter(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"));
    let asking = manifests
        .filter(|path| fs::read_to_string(root().join(path)).expect("a manifest is readable").contains(feature))
        .collect::<Vec<_>>();
    assert_eq!(asking, [Path::new("sim/Cargo.toml")], "rules of the protocol are no setting of the product");
}

#[test]
fn versions_stand_in_the_workspace_manifest_alone() {
    let mut complaints = Vec::new();
    for path in files() {
        if path.file_name().is_none_or(|name| name != "Cargo.toml") || path == Path::new("Cargo.toml") {
            continue;
        }
        if path.starts_with("fuzz") {
            continue; // a workspace of its own, built by a nightly compiler
        }
        let text = fs::read_to_string(root().join(&path)).expect("a manifest is readable");
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let named = line.contains("version = \"")
                || line
                    .split('=')
                    .nth(1)
                    .is_some_and(|v| v.trim().trim_matches('"').starts_with(|c: char| c.is_ascii_digit()));
            if named {
                complaints.push(format!("{}:{}: a version; put it into the root manifest", path.display(), index + 1));
            }
        }
        if !text.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{}: lacks `[lints] workspace = true`", path.display()));
        }
    }
    fail_with(&complaints);
}

#[test]
fn every_file_says_what_it_promises() {
    let complaints = rust_files()
        .iter()
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#![no_main]"))
        .map(|(path, _)| format!("{}: begin with `//!` and what the file promises", path.display()))
        .collect::<Vec<_>>();
    fail_with(&complaints);
}

#[test]
fn no_file_has_grown_past_its_idea() {
    let mut complaints = Vec::new();
    for (path, text) in rust_files() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{}: {lines} lines, at most {LINES_MAX}: split it by idea", path.display()));
        }
        // What integration tests share has to lie in a folder of its own, or cargo takes it for a test.
        let shared_by_tests = path.iter().any(|part| part == "tests");
        if path.file_name().is_some_and(|name| name == "mod.rs") && !shared_by_tests {
            complaints.push(format!("{}: write foo.rs beside foo/ instead", path.display()));
        }
    }
    fail_with(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TO\u{44}O", "FIX\u{4d}E", "tod\u{6f}!(", "unimplemente\u{64}!("];
    let mut complaints = Vec::new();
    for (path, text) in rust_files() {
        for (index, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("{}:{}: {word}", path.display(), index + 1));
            }
        }
    }
    fail_with(&complaints);
}

#[test]
fn the_map_names_every_folder() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let mut folders = files()
        .iter()
        .filter_map(|path| (path.components().count() > 1).then(|| path.components().next()).flatten())
        .map(|folder| folder.as_os_str().to_string_lossy().into_owned())
        .filter(|folder| !folder.starts_with('.'))
        .collect::<Vec<_>>();
    folders.sort();
    folders.dedup();
    let complaints = folders
        .iter()
        .filter(|folder| !map.contains(&format!("{folder}/")))
        .map(|folder| format!("ARCHITECTURE.md does not mention {folder}/"))
        .collect::<Vec<_>>();
    fail_with(&complaints);
}

#[test]
fn every_pure_crate_has_the_strict_lints() {
    let reference = fs::read_to_string(root().join("cluster/clippy.toml")).expect("cluster/clippy.toml is there");
    let complaints = PURE
        .iter()
        .filter(|folder| fs::read_to_string(root().join(folder).join("clippy.toml")).ok().as_ref() != Some(&reference))
        .map(|folder| format!("{folder}/clippy.toml differs from cluster/clippy.toml"))
        .collect::<Vec<_>>();
    fail_with(&complaints);
}
