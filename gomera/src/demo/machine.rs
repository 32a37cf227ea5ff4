//! The machine the demo runs on, measured: load, memory, disks, network. Real input beside the generated city.

use std::time::Instant;

use gomera_model::{Attributes, Value};
use sysinfo::{CpuRefreshKind, Disk, Disks, MemoryRefreshKind, NetworkData, Networks, RefreshKind, System};

/// Network interfaces reported at most, the busiest first: container hosts have hundreds.
const INTERFACES_MAX: usize = 8;
/// Disks reported at most.
const DISKS_MAX: usize = 8;

/// The machine. Readings of rates are since the reading before. What the system does not tell is left out.
#[derive(Debug)]
pub struct Machine {
    host: String,
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
    measured: Instant,
}

impl Machine {
    /// A first look; rates come from the second on.
    #[must_use]
    pub fn new() -> Self {
        let kind = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::everything());
        Self {
            host: System::host_name().unwrap_or_else(|_| "this-machine".into()),
            system: System::new_with_specifics(kind).ok(),
            disks: Disks::new_with_refreshed_list().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            measured: Instant::now(),
        }
    }

    /// The name it publishes under.
    #[must_use]
    pub fn name(&self) -> String {
        format!("machine-{}", self.host)
    }

    /// Measures: one publication for the machine, one for each disk, one for each network interface.
    pub fn readings(&mut self) -> Vec<Attributes> {
        let seconds = self.measured.elapsed().as_secs_f64().max(0.001);
        self.measured = Instant::now();
        let mut readings = Vec::new();
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            readings.push(machine(system));
        }
        if let Some(disks) = &mut self.disks {
            disks.refresh(true);
            let disks = disks.iter().filter(|disk| disk.total_space() > 0);
            readings.extend(disks.take(DISKS_MAX).map(disk));
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let mut interfaces: Vec<_> = networks.iter().collect();
            interfaces.sort_by(|(name, network), (other_name, other)| {
                other.total_received().cmp(&network.total_received()).then_with(|| name.cmp(other_name))
            });
            let interfaces = interfaces.into_iter().take(INTERFACES_MAX);
            readings.extend(interfaces.map(|(name, network)| interface(&name.to_string_lossy(), network, seconds)));
        }
        readings.into_iter().map(|reading| self.signed(reading)).collect()
    }

    fn signed(&self, mut entries: Vec<(&'static str, Value)>) -> Attributes {
        entries.extend([("origin", "measured".into()), ("host", Value::string(self.host.as_str()))]);
        entries.into_iter().collect()
    }
}

fn machine(system: &System) -> Vec<(&'static str, Value)> {
    let mut reading = vec![
        ("type", "machine".into()),
        ("cpu.count", Value::Integer(i64::try_from(system.cpus().len()).unwrap_or(i64::MAX))),
        ("cpu.used_percent", Value::Float(f64::from(system.global_cpu_usage()))),
        ("memory.total_bytes", bytes(system.total_memory())),
        ("memory.used_percent", percent(system.used_memory(), system.total_memory())),
        ("swap.used_bytes", bytes(system.used_swap())),
    ];
    if let Ok(load) = System::load_average() {
        reading.extend([
            ("load.one", Value::Float(load.one)),
            ("load.five", Value::Float(load.five)),
            ("load.fifteen", Value::Float(load.fifteen)),
        ]);
    }
    reading
}

fn disk(disk: &Disk) -> Vec<(&'static str, Value)> {
    let used = disk.total_space().saturating_sub(disk.available_space());
    vec![
        ("type", "disk".into()),
        ("disk.mount", Value::string(disk.mount_point().to_string_lossy())),
        ("disk.total_bytes", bytes(disk.total_space())),
        ("disk.used_percent", percent(used, disk.total_space())),
    ]
}

fn interface(name: &str, network: &NetworkData, seconds: f64) -> Vec<(&'static str, Value)> {
    vec![
        ("type", "network".into()),
        ("network.interface", Value::string(name)),
        ("network.received_bytes_per_second", rate(network.received(), seconds)),
        ("network.sent_bytes_per_second", rate(network.transmitted(), seconds)),
        ("network.errors", bytes(network.total_errors_on_received() + network.total_errors_on_transmitted())),
    ]
}

fn bytes(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a reading for people: 53 bits are enough")]
fn percent(part: u64, whole: u64) -> Value {
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    Value::Float((share * 1_000.0).round() / 10.0)
}

#[expect(clippy::cast_precision_loss, reason = "a reading for people: 53 bits are enough")]
fn rate(count: u64, seconds: f64) -> Value {
    Value::Float((count as f64 / seconds).round())
}
