//! Claims about what is started and run, with the shell in place of nodes.

use super::*;

const LAYER: Layer = Layer::Matcher;
const LONG: Duration = Duration::from_secs(20);

fn wanted(needed: u16, names: &[&str]) -> Wanted {
    let there = u16::try_from(names.len()).expect("few");
    let names = names.iter().map(|&name| (LAYER, Arc::from(name))).collect();
    Wanted { needs: BTreeMap::from([(LAYER, Need { needed, there })]), names }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "{what}");
}

fn lines(path: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn shortage(provisioning: &Provisioning) -> String {
    let mut shortages = provisioning.shortages();
    let told = tokio::time::timeout(LONG, shortages.wait_for(|shortages| !shortages.is_empty())).await;
    told.expect("in time").expect("it runs")[&LAYER].clone()
}

#[tokio::test]
async fn a_command_is_run_for_more_nodes_and_for_fewer_and_not_for_as_many() {
    let folder = folder();
    let log = folder.path().join("log");
    let line = format!("echo $GOMERA_CLUSTER $GOMERA_LAYER $GOMERA_REPLICAS >> {}", log.display());
    let provider = Provider::Command { line, cluster: Arc::from("plaza"), within: LONG };
    let provisioning = Provisioning::start(provider);
    provisioning.want(wanted(1, &["a"]));
    tokio::time::sleep(Duration::from_millis(50)).await;
    provisioning.want(wanted(3, &["a"]));
    until("more are asked for", || lines(&log) == ["plaza matcher 3"]).await;
    provisioning.want(wanted(3, &["a", "b", "c"]));
    tokio::time::sleep(Duration::from_millis(50)).await;
    provisioning.want(wanted(2, &["a", "b", "c"]));
    until("fewer are asked for", || lines(&log) == ["plaza matcher 3", "plaza matcher 2"]).await;
}

#[tokio::test]
async fn a_command_that_fails_is_told_in_its_own_words_and_tried_again() {
    let folder = folder();
    let mark = folder.path().join("mark");
    // Fails once.
    let line = format!("test -e {0} || {{ touch {0}; echo no quota >&2; exit 3; }}", mark.display());
    let provisioning = Provisioning::start(Provider::Command { line, cluster: Arc::from("plaza"), within: LONG });
    provisioning.want(wanted(2, &["a"]));
    assert_eq!(shortage(&provisioning).await, "the command ended with exit status: 3: no quota");
    let mut shortages = provisioning.shortages();
    let mended = tokio::time::timeout(LONG, shortages.wait_for(BTreeMap::is_empty)).await;
    drop(mended.expect("in time").expect("it runs"));
}

#[tokio::test]
async fn a_command_that_hangs_is_cut_off() {
    let within = Duration::from_millis(100);
    let provider = Provider::Command { line: String::from("sleep 60"), cluster: Arc::from("plaza"), within };
    let provisioning = Provisioning::start(provider);
    provisioning.want(wanted(1, &[]));
    assert_eq!(shortage(&provisioning).await, "the command did not end within 100ms");
}

#[tokio::test]
async fn processes_get_names_that_are_free_and_whoever_ends_at_once_is_told() {
    let folder = folder();
    let (log, program) = (folder.path().join("log"), folder.path().join("program"));
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\nexit 78\n", log.display())).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("made executable");
    let arguments = BTreeMap::from([(LAYER, vec![OsString::from("--cluster"), OsString::from("plaza")])]);
    let provisioning = Provisioning::start(Provider::Processes(Launch { program, arguments }));
    provisioning.want(wanted(3, &["matcher-1"]));
    assert!(shortage(&provisioning).await.ends_with("ended with exit status: 78 before it registered"));
    // The first to end is told.
    until("both have run", || lines(&log).len() == 2).await;
    let mut told = lines(&log);
    told.sort();
    assert_eq!(told, ["matcher --cluster plaza --name matcher-2", "matcher --cluster plaza --name matcher-3"]);
}
