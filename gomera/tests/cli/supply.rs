//! A coordinator that has nodes started, nodes that ask for leave, and how much waits, as an autoscaler asks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use gomera_proto::keda;
use gomera_proto::keda::external_scaler_client::ExternalScalerClient;
use serde_json::Value;
use xtask::services::zookeeper::ZooKeeper;

use crate::program::{Ended, command, gomera};

const LONG: Duration = Duration::from_secs(60);

/// A coordinator, and whatever it has had started: all is ended when it is dropped.
struct Coordinator {
    process: Child,
    pids: PathBuf,
    log: PathBuf,
}

impl Coordinator {
    fn start(folder: &Path, servers: &str) -> Self {
        let pids = folder.join("pids");
        let (config, log) = (folder.join("gomera.toml"), folder.join("log"));
        // The command does what `process` does, so that the test knows whom to end.
        let program = env!("CARGO_BIN_EXE_gomera");
        let start = format!(
            "have=$(grep -c $GOMERA_LAYER {pids}); while [ $have -lt $GOMERA_REPLICAS ]; do have=$((have+1)); \
             GOMERA_NAME=$GOMERA_LAYER-$have {program} $GOMERA_LAYER --config {config} >/dev/null 2>>{log} & \
             echo $GOMERA_LAYER-$have $! >> {pids}; done",
            pids = pids.display(),
            config = config.display(),
            log = log.display(),
        );
        let text = format!(
            "cluster = 'plaza'\nlisten = '127.0.0.1:0'\nlog = 'warn,gomera=info,gomera_host=info'\n[zookeeper]\nservers = '{servers}'\n\
             [coordinator]\nprovisioner = 'command'\nnodes_max = 2\nnode_wait = '20s'\ncommand = '''{start}'''\n"
        );
        std::fs::write(&config, text).expect("written");
        std::fs::write(&pids, "").expect("written");
        let arguments = ["coordinator", "--config", config.to_str().expect("text"), "--json"];
        let mut process = command(&arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut first = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("it is piped"));
        out.read_line(&mut first).expect("text");
        assert!(first.contains("started"), "{first}");
        std::thread::spawn(move || out.lines().for_each(drop));
        Self { process, pids, log }
    }

    /// Processes by name, in the order in which they were started.
    fn nodes(&self) -> Vec<(String, i32)> {
        let text = std::fs::read_to_string(&self.pids).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(name, id)| (name.to_owned(), id.parse().expect("a number"))).collect()
    }

    /// Where clients reach the first connection point, once it has started.
    fn endpoint(&self) -> String {
        let address = until("a connection point", || {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let (_, rest) = log.split_once("clients=Some(")?;
            Some(rest.split_once(')')?.0.to_owned())
        });
        format!("http://{address}")
    }

    fn signal(&self, name: &str, signal: &str) {
        let (_, id) = self.nodes().into_iter().find(|(known, _)| known == name).expect("it was started");
        let sent = std::process::Command::new("kill").args([signal, &id.to_string()]).status();
        assert!(sent.expect("kill runs").success(), "{name}");
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        for (_, id) in self.nodes() {
            // It may have ended by itself.
            drop(std::process::Command::new("kill").args(["-9", &id.to_string()]).stderr(Stdio::null()).status());
        }
    }
}

fn until<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come");
}

fn last(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(ended.out.lines().last().expect("it tells")).expect("JSON")
}

#[test]
fn nodes_are_started_when_they_are_needed_and_leave_when_they_are_told() {
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let coordinator = Coordinator::start(folder.path(), &zookeeper.connect_string());
    let endpoint = coordinator.endpoint();
    let ask = |arguments: &[&str]| gomera(&[arguments, &["--endpoint", &endpoint]].concat(), "");
    until("a layout", || (ask(&["status"]).code == 0).then_some(()));
    let names = || coordinator.nodes().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let mut begun = names();
    begun.sort();
    assert_eq!(begun, ["access-point-1", "connection-point-1", "exit-point-1", "matcher-1"]);

    let told = last(&ask(&["scale", "access-point", "2", "--wait", "--json"]));
    assert_eq!((&told["state"], &told["nodes_joined"]), (&"succeeded".into(), &1.into()), "{told}");
    assert_eq!(names().len(), 5);
    let refused = ask(&["scale", "access-point", "3"]);
    assert!(refused.code == 75 && refused.err.contains("the provisioner gives 2"), "{refused:?}");

    coordinator.signal("access-point-1", "-TERM");
    until("the end of the first access point", || {
        let topology = last(&ask(&["status", "--json"]));
        let nodes = topology["nodes"].as_array().expect("nodes").clone();
        nodes.iter().all(|node| node["name"] != "access-point-1").then_some(())
    });
    let log = std::fs::read_to_string(&coordinator.log).expect("a log");
    assert!(log.contains("nothing is held here any more"), "{log}");
    autoscaler_asks(&endpoint);
}

/// As KEDA does.
fn autoscaler_asks(endpoint: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut scaler = ExternalScalerClient::connect(endpoint.to_owned()).await.expect("connects");
        let object = |metadata: &[(&str, &str)]| {
            let pairs = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            let scaler_metadata = pairs.collect::<BTreeMap<_, _>>();
            keda::ScaledObjectRef { name: String::from("matchers"), scaler_metadata, ..Default::default() }
        };
        let good = object(&[("layer", "matcher"), ("target", "1048576"), ("scalerAddress", "gomera:7411")]);
        assert!(scaler.is_active(good.clone()).await.expect("answers").into_inner().result);
        let mut activity = scaler.stream_is_active(good.clone()).await.expect("answers").into_inner();
        assert!(activity.message().await.expect("no error").expect("one").result);
        let spec = scaler.get_metric_spec(good.clone()).await.expect("answers").into_inner().metric_specs;
        assert_eq!((spec[0].metric_name.as_str(), spec[0].target_size), ("gomera-matcher-backlog", 1_048_576));
        let request =
            keda::GetMetricsRequest { scaled_object_ref: Some(good), metric_name: spec[0].metric_name.clone() };
        let values = scaler.get_metrics(request).await.expect("answers").into_inner().metric_values;
        assert_eq!((values.len(), values[0].metric_name.as_str()), (1, "gomera-matcher-backlog"));
        let wrong = scaler.is_active(object(&[("layer", "gateway"), ("target", "1")])).await.expect_err("refused");
        assert_eq!(wrong.code(), tonic::Code::InvalidArgument);
        assert!(wrong.message().contains("layer is «gateway», must be connection-point"), "{wrong}");
    });
}
