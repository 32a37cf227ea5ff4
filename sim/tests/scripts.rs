//! Every script in `sim/scripts` produces its transcript. `UPDATE=1` rewrites the transcripts instead.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let entries = fs::read_dir(&folder).expect("there is a folder of scripts");
    let mut paths = entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
    paths.sort();
    paths
}

#[test]
fn every_script_produces_its_transcript() {
    let update = env::var_os("UPDATE").is_some();
    let paths = scripts();
    assert!(paths.len() >= 9, "there are {} scripts", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).expect("a script is text");
        let produced = gomera_sim::script::run(&expected).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if produced == expected {
            continue;
        }
        if update {
            fs::write(&path, produced).expect("scripts can be written");
        } else {
            let first = expected.lines().zip(produced.lines()).find(|(expected, produced)| expected != produced);
            wrong.push(format!("{}: first difference {first:#?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites these, to be reviewed as a diff:\n{}", wrong.join("\n"));
}
