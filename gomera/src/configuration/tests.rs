//! Claims about the configuration.

use super::*;

fn read(file: &str, flags: ProcessFlags) -> Result<Configuration, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gomera.toml");
    std::fs::write(&path, file).expect("written");
    let draft = Draft::read(Configuration::default(), Some(&path)).map_err(|failure| format!("{failure:?}"))?;
    let configuration: Configuration = draft.with(&flags).figment.extract().map_err(|error| error.to_string())?;
    configuration.validate()?;
    Ok(configuration)
}

#[test]
fn the_defaults_are_valid_and_bind_the_loopback_interface() {
    let defaults = Configuration::default();
    assert_eq!(defaults.validate(), Ok(()));
    for address in [defaults.listen, defaults.link_listen, defaults.metrics_listen] {
        assert!(address.ip().is_loopback());
    }
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "cluster = '10s'\nlog = 'debug'\nstop_within = '3s'\n[exit_point]\nblock_max = '250ms'\n";
    let flags = ProcessFlags { log: Some("warn".into()), ..ProcessFlags::default() };
    let configuration = read(file, flags).expect("valid");
    assert_eq!(configuration.cluster, "10s", "a name that looks like a duration stays a name");
    assert_eq!(configuration.log, "warn");
    assert_eq!(configuration.stop_within, Duration::from_secs(3));
    assert_eq!(configuration.exit_point.block_max, Duration::from_millis(250));
    assert_eq!(configuration.matcher, Configuration::default().matcher);
}

#[test]
fn what_is_wrong_is_named_with_its_table_and_with_what_would_be_right() {
    for (file, expected) in [
        ("[matcher]\nstep_entries_max = 0\n", "matcher.step_entries_max is 0, must be"),
        ("[access_point]\npublisher_idle = '1ms'\n", "access_point.publisher_idle is 1ms, must be"),
        ("[settings]\nmatcher_slices = 0\n", "settings.matcher_slices is 0, must be 1 to 4096"),
        ("[zookeeper]\nservers = 'nowhere'\n", "zookeeper.servers is"),
        ("shards = 0\n", "shards is 0, must be 1 to 1024"),
        ("shards = 1025\n", "shards is 1025, must be 1 to 1024"),
        ("workers = 65535\n", "workers is 65535, must be at most 1024"),
        ("threads = 1025\n", "threads is 1025, must be at most 1024"),
        ("cluster = 'a/b'\n", "cluster is «a/b»"),
        ("[matcher]\nnonsense = 1\n", "unknown field: found `nonsense`"),
        ("nonsense = 1\n", "unknown field: found `nonsense`"),
        ("[exit_point]\nblock_max = 'soon'\n", "block_max"),
        ("listen = 'here'\n", "listen"),
    ] {
        let wrong = read(file, ProcessFlags::default()).expect_err(file);
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn durations_are_whole_numbers_with_a_unit() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
    assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
    for text in ["", "5", "s", "1.5s", "-1s", "1 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn the_printed_defaults_read_back_to_the_defaults() {
    let file = defaults_as_file();
    assert!(file.contains("\n# block_max = \"1s\"\n"), "{file}");
    assert!(file.contains("# huge_pages: true makes"), "what no flag explains is explained here: {file}");
    assert_eq!(read(&file, ProcessFlags::default()), Ok(Configuration::default()));
    // Taken into use, all but what is absent unless given.
    let settings = file.lines().filter_map(|line| line.strip_prefix("# ").or(line.starts_with('[').then_some(line)));
    let settings = settings.filter(|line| line.starts_with('[') || line.contains(" = "));
    let used: Vec<_> = settings.filter(|line| !line.contains("GOMERA_") && !line.contains("gomera up")).collect();
    assert!(used.len() > 60, "{used:?}");
    assert_eq!(read(&used.join("\n"), ProcessFlags::default()), Ok(Configuration::default()));
}
