//! What grpcurl does, done by grpcio's reflection client: learn the schema from the server, then send the README's JSON.

use std::path::Path;
use std::process::Command;

use crate::cluster::Cluster;

#[test]
fn a_client_that_knows_no_schema_publishes_and_listens_by_reflection() {
    let Ok(python) = std::env::var("GOMERA_TEST_PYTHON") else {
        eprintln!("not run: GOMERA_TEST_PYTHON is not set");
        return;
    };
    let cluster = Cluster::up();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/reflection.py");
    let output = Command::new(python)
        .arg(script)
        .arg(cluster.endpoint.trim_start_matches("http://"))
        .output()
        .expect("python runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for service in ["gomera.v1.PubSub", "gomera.v1.Cluster", "grpc.health.v1.Health"] {
        assert!(told.contains(service), "{told}");
    }
    assert!(told.contains("\"speed\": {\"integer\": \"12\"}"), "{told}");
    assert_eq!(cluster.stop(), Some(0));
}
